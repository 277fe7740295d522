import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  builtinCases,
  type CaseDefinition,
  CatalogueError,
  defineCase,
  expand,
  loadCatalogue,
  vocabulary,
} from '../../src/cases/index.js';

const file = join(builtinCases, 'kicks/sending.yaml');

it('is the case that the same fields are in a file', async () => {
  const written = parse(await readFile(file, 'utf8')) as CaseDefinition;
  const loaded = (await loadCatalogue([builtinCases], vocabulary)).find(({ id }) => id === 'kicks.sending')!;
  const scope = { roles: ['server', 'client'], machines: ['q35'] } as const;
  const [own, stock] = [defineCase(written), loaded].map((one) =>
    expand(one, scope).map(({ steps, ...rest }) => ({
      ...rest,
      steps: steps.map(({ verb, params }) => ({ verb, params })),
    })),
  );
  expect(own!.length).toBeGreaterThan(6);
  expect(own).toEqual(stock);
});

it('refuses mistakes by the name that it is given, all at once', async () => {
  const written = parse(await readFile(file, 'utf8')) as CaseDefinition;
  const wrong = { ...written, steps: [{ peer: 'conect' }, { restrat: {} }] };
  expect(() => defineCase(wrong, 'mine')).toThrow(CatalogueError);
  expect(() => defineCase(wrong, 'mine')).toThrow(/mine:\d+:\d+/);
});
