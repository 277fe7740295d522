import { DRY } from './definition.js';
import { literal, wildcard } from './matrix.js';
import { nearest } from './nearest.js';
import type { Discovery, Variant } from './types.js';

/** A selector that names nothing in the catalogue. */
export class SelectorError extends Error {
  override readonly name = 'SelectorError';
  readonly code = 'ERR_SELECTOR';

  constructor(
    readonly selector: string,
    readonly hint: string,
  ) {
    super(`nothing in the catalogue is called "${selector}"`);
  }
}

/**
 * Whether a selector picks a variant: `*` stands for anything; otherwise the variant's whole id, or the case's id or its
 * first components (`server.absence` picks `server.absence.beyond-timer`, not `server.absences`).
 */
export function picks(selector: string, variant: Pick<Variant, 'id' | 'caseId'>): boolean {
  if (selector.includes('*')) {
    const pattern = wildcard(selector);
    return pattern.test(variant.id) || pattern.test(variant.caseId);
  }
  return selector === variant.id || selector === variant.caseId || variant.caseId.startsWith(`${selector}.`);
}

/** More variants than this do not fit into a hint. */
const FEW = 4;

/** Which variants there are, for an id that names a case but none of its variants; otherwise undefined. */
export function variantsHint(id: string, variants: readonly Variant[]): string | undefined {
  const [caseId = id] = id.split('[');
  const own = variants.filter((variant) => variant.caseId === caseId).map((variant) => variant.id);
  if (own.length === 0) return undefined;
  if (own.length <= FEW) return `its variants are ${own.join(' ')}`;
  const [best = own[0]] = nearest(id, own);
  return `did you mean ${best}? See \`vhost-reconnect list --variants ${caseId}\``;
}

/** The ids that a mistyped selector may have meant. */
export function selectorHint(selector: string, variants: readonly Variant[]): string {
  const own = variantsHint(selector, variants);
  if (own !== undefined) return own;
  const prefixes = variants.flatMap(({ caseId: id }) =>
    id.split('.').map((_, i, parts) => parts.slice(0, i + 1).join('.')),
  );
  const names = nearest(selector, [...new Set(prefixes)]);
  return names.length > 0 ? `did you mean ${names.join(' or ')}?` : 'see `vhost-reconnect list`';
}

/**
 * The variants that any of the selectors picks, in the order of the catalogue; all of them without a selector. One that only
 * a dry run can discover is made when its whole id is given.
 * @throws SelectorError for a selector that picks nothing.
 */
export function select(variants: readonly Variant[], selectors: readonly string[]): Variant[] {
  const made = new Map<Variant, Variant[]>();
  for (const selector of selectors) {
    if (variants.some((variant) => picks(selector, variant))) continue;
    const [dry, variant] = discovered(selector, variants);
    if (!dry || !variant) throw new SelectorError(selector, selectorHint(selector, variants));
    made.set(dry, [...(made.get(dry) ?? []), variant]);
  }
  if (selectors.length === 0) return [...variants];
  return variants.flatMap((variant) => [
    ...(selectors.some((selector) => picks(selector, variant)) ? [variant] : []),
    ...(made.get(variant) ?? []),
  ]);
}

/** The variant with this id that a dry run would discover, with the dry run. */
function discovered(id: string, variants: readonly Variant[]): [Variant, Variant] | [] {
  for (const dry of variants) {
    const { discovery } = dry;
    if (!discovery) continue;
    const at = `${discovery.key}=`;
    const [before = '', after = ''] = dry.id.split(`${at}${DRY}`);
    const value = new RegExp(`^${literal(before + at)}([^,\\]]+)${literal(after)}$`).exec(id)?.[1];
    if (value === undefined) continue;
    const variant = withValue(discovery, value);
    if (variant) return [dry, variant];
  }
  return [];
}

/** Undefined for a value that the case's steps do not take. */
function withValue({ with: make }: Discovery<Variant>, value: string): Variant | undefined {
  try {
    return make(value);
  } catch {
    return undefined;
  }
}
