import { matches, picks, selectorHint, type Variant } from '../cases/index.js';

/** What an entry of an expectation file names. */
export interface VariantSelector {
  picks(variant: Pick<Variant, 'caseId' | 'role' | 'machine' | 'params'>): boolean;
  /** Whether it picks the variant, or one that it may discover as a dry run. */
  mayPick(variant: Variant): boolean;
  /** What may have been meant, when it names nothing. */
  hint(variants: readonly Variant[]): string;
}

/**
 * A case id, its first components or a pattern with `*`, as on the command line; or with some values behind it, in any order:
 * `features.acked-while-away[role=server]`. Role and machine can be named too where the variant's id does not; `*` in a value
 * stands for anything.
 */
export function selectorOf(text: string): VariantSelector {
  const [, name = text, list = ''] = /^([^[\]]*)\[([^[\]]*)\]$/.exec(text) ?? [];
  const named = list
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('=').map((word) => word.trim()) as [string, string]);
  const fits = ({ caseId, role, machine, params }: Parameters<VariantSelector['picks']>[0], open?: string) => {
    const values = Object.entries({ ...params, role, machine }).map(([key, value]) => [key, String(value)]);
    return (
      picks(name, { id: caseId, caseId }) &&
      matches(Object.fromEntries(values), Object.fromEntries(named.filter(([key]) => key !== open)))
    );
  };
  return {
    picks: (variant) => fits(variant),
    mayPick: (variant) => fits(variant, variant.discovery?.key),
    hint: (variants) => selectorHint(text, variants),
  };
}
