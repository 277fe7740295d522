import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { builtinCases, loadCatalogue, vocabulary } from '../../src/cases/index.js';
import { registry } from '../../src/contract/index.js';
import { loadDefects } from '../mutants/defects.js';
import type { Known, Material, Measured, Seen } from './page.js';

const text = z.string().trim().min(1);
const known = z.strictObject({
  defects: z.array(z.strictObject({ id: text, title: text, reason: text.optional() })),
  requirements: z.record(z.string(), text),
});
const expectations = z.object({
  build: z.object({ from: z.string() }),
  expected: z.array(
    z.object({
      case: z.string(),
      requirements: z.array(z.string()).default([]),
      may: z.array(z.string()).default([]),
      reference: z.string(),
    }),
  ),
});

/** The measured figures, which `make coverage` takes over from the reports named to it. */
export const measuredFile = join(import.meta.dirname, 'measured.json');

/** @throws ZodError for a file that is not of the form, and the file system's error */
export async function readKnown(): Promise<Known> {
  return known.parse(parse(await readFile(join(import.meta.dirname, 'known.yaml'), 'utf8')));
}

/** What the expectation files list, oldest version first. */
async function readSeen(): Promise<Seen[]> {
  const dir = join(builtinCases, 'expected');
  const files = (await readdir(dir)).filter((name) => name.endsWith('.yaml'));
  const lists = await Promise.all(
    files.map(async (file) => {
      const { build, expected } = expectations.parse(parse(await readFile(join(dir, file), 'utf8')));
      const version = build.from.split('.').slice(0, 2).join('.');
      return expected.map(({ case: id, requirements, may, reference }) => ({
        version,
        case: id,
        requirements: [...requirements, ...may],
        reference,
      }));
    }),
  );
  return lists.flat().sort((a, b) => Number.parseFloat(a.version) - Number.parseFloat(b.version));
}

/** Everything that the page is made of. @throws for a file that cannot be read */
export async function readMaterial(): Promise<Material> {
  const [cases, defects, seen, list, measured] = await Promise.all([
    loadCatalogue([builtinCases], vocabulary),
    loadDefects(),
    readSeen(),
    readKnown(),
    readFile(measuredFile, 'utf8'),
  ]);
  return { registry, cases, mutants: defects, seen, known: list, measured: JSON.parse(measured) as Measured };
}
