import { resolve } from 'node:path';
import type { Case } from '../cases/index.js';
import type { QemuFacts } from '../qemu/index.js';
import { type Expectations, loadExpectations } from '../runner/index.js';
import { allVariants } from './catalogue.js';
import type { Io } from './io.js';
import { NONE } from './settings.js';

/**
 * What is expected of a QEMU: by the given file, by the package's own for this build, or nothing.
 * @throws CatalogueError
 */
export async function readExpectations(
  io: Pick<Io, 'cwd'>,
  given: string | undefined,
  facts: QemuFacts,
  cases: readonly Case[],
): Promise<Expectations | undefined> {
  if (given === NONE) return undefined;
  return loadExpectations(given === undefined ? undefined : resolve(io.cwd, given), facts, allVariants(cases));
}
