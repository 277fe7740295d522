import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtinCases, loadCatalogue } from '../../src/cases/catalogue.js';
import { selections } from '../../src/cases/definition.js';
import { expand, includes } from '../../src/cases/expand.js';
import { caseSchema } from '../../src/cases/schema.js';
import { vocabulary } from '../../src/cases/vocabulary.js';
import { registry } from '../../src/contract/index.js';
import { caseText } from './vocabulary.js';

describe('the built-in catalogue', async () => {
  const cases = await loadCatalogue([builtinCases], vocabulary);
  const variants = cases.flatMap((one) => expand(one, { roles: ['server', 'client'], machines: ['q35'] }));

  it('has variants with unique ids, few enough for one run', () => {
    expect(new Set(variants.map(({ id }) => id)).size).toBe(variants.length);
    const sizes = selections.map((name) => variants.filter((variant) => includes(name, variant)).length);
    expect(sizes[0]).toBeLessThan(50);
    expect(sizes[1]).toBeLessThan(650);
    expect(sizes[2]).toBe(variants.length);
    expect(variants.length).toBeLessThan(2000);
  });

  it('names each file after its id', () => {
    for (const { id, file } of cases) {
      const [theme, ...rest] = id.split('.');
      expect(file).toMatch(new RegExp(`${theme}/${rest.join('-')}\\.yaml$`));
    }
  });

  it('cites requirements that there are', () => {
    const known = registry.map(({ id }) => `contract:${id}`);
    for (const { references } of cases)
      expect(known).toEqual(
        expect.arrayContaining(references.filter((reference) => reference.startsWith('contract:'))),
      );
  });

  it('starts every file with the line by which editors find the schema', async () => {
    for (const { file } of cases)
      expect(await readFile(file, 'utf8')).toMatch(/^# yaml-language-server: \$schema=\.\.\/case\.schema\.json\n/);
  });

  it('has a schema for editors that is up to date (UPDATE_SCHEMA=1 writes it)', async () => {
    const file = join(builtinCases, 'case.schema.json');
    const text = `${JSON.stringify(caseSchema(vocabulary), null, 2)}\n`;
    if (process.env.UPDATE_SCHEMA === '1') await writeFile(file, text);
    expect(await readFile(file, 'utf8')).toBe(text);
  });
});

describe('a folder of cases', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'cases-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const load = () => loadCatalogue([builtinCases, dir], vocabulary);
  const text = (id: string) => `# mine\n${caseText('driver: none\nsteps: [{ peer: connect }]', { id })}`;

  it('without any is a mistake', async () => {
    await expect(load()).rejects.toThrow('expected a folder with case files, got none');
  });

  it('that is a file is a mistake', async () => {
    writeFileSync(join(dir, 'a.yaml'), text('own.case'));
    const file = loadCatalogue([join(dir, 'a.yaml')], vocabulary);
    await expect(file).rejects.toThrow('give the folder that the file is in');
  });

  it('may not use an id again, and is told where it does', async () => {
    writeFileSync(join(dir, 'a.yaml'), text('quit.connected'));
    await expect(load()).rejects.toThrow(
      /a\.yaml:2:5: expected an id of its own, got quit\.connected \(it is in .*connected\.yaml too\)/,
    );
  });
});
