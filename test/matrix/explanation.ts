import { isExpected, type RunResult, type VariantResult } from '../../src/runner/index.js';
import type { Unpacked } from './releases.js';

/** One release's QEMU, and what came of its run. */
export interface Column extends Unpacked {
  /** The folder of its reports, relative to the matrix's. */
  reports: string;
  result: RunResult;
}

/** What of a failure is known, from the expectation file. */
export interface Explanation {
  reason: string;
  reference: string;
}

/** The explanation of a failure that is known; undefined for one that nobody expected. */
export function explanationOf(result: VariantResult): Explanation | undefined {
  if (!isExpected(result)) return undefined;
  const { reason, reference } = result.expectation!;
  return { reason, reference };
}

/** Explanations, numbered from 1 in the order in which they are met; the same one has one number. */
export class Explanations {
  readonly #list: Explanation[] = [];

  get all(): readonly Explanation[] {
    return this.#list;
  }

  numberOf(explanation: Explanation): number {
    const same = ({ reason, reference }: Explanation) =>
      reason === explanation.reason && reference === explanation.reference;
    const at = this.#list.findIndex(same);
    return at >= 0 ? at + 1 : this.#list.push(explanation);
  }
}
