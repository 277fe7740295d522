import { picks, selectorHint, type Variant } from '../cases/index.js';

/** What an entry of an expectation file names. */
export interface VariantSelector {
  picks(variant: Variant): boolean;
  /** What may have been meant, when it names nothing. */
  hint(variants: readonly Variant[]): string;
}

/**
 * A case id, its first components or a pattern with `*`, as on the command line; or with some values behind it, in any order:
 * `features.acked-while-away[role=server]`. Role and machine can be named too where the variant's id does not.
 */
export function selectorOf(text: string): VariantSelector {
  const [, name = text, list = ''] = /^([^[\]]*)\[([^[\]]*)\]$/.exec(text) ?? [];
  const values = list
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('=').map((word) => word.trim()));
  return {
    picks: (variant) => {
      const { role, machine, params } = variant;
      const known: Record<string, unknown> = { ...params, role, machine };
      return (
        picks(name, { id: variant.caseId, caseId: variant.caseId }) &&
        values.every(([key = '', value]) => Object.hasOwn(known, key) && String(known[key]) === value)
      );
    },
    hint: (variants) => selectorHint(text, variants),
  };
}
