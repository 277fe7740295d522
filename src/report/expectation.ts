import type { VariantResult } from '../runner/index.js';

/**
 * How a result stands to what was expected of it, in one line; undefined when nothing was.
 * `R21 broke: QEMU keeps ... (finding:x; cases/expected/debian-12.yaml:4)`
 */
export function expectationText({ verdict, expectation }: Pick<VariantResult, 'verdict' | 'expectation'>) {
  if (!expectation) return undefined;
  const { state, place, reason, reference, broken, held, more } = expectation;
  if (state === 'met') return `${broken.join(', ')} broke: ${reason} (${reference}; ${place})`;
  if (state === 'exceeded') return `${more.join(', ')} is not expected, or not in this way, by ${place}`;
  const what = verdict === 'pass' ? 'it passes' : `${held.join(', ')} holds`;
  return `${what}, but ${place} expects ${held.join(', ')} to break: mend or remove the entry`;
}
