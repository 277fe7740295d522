import type { Requirement } from '../contract/index.js';
import type { RunResult, VariantResult } from '../runner/index.js';
import { breaksOf } from './failure.js';
import { groupBy } from './group.js';
import { kindOf, messageOf, named, outcomeOf } from './outcome.js';
import { renderFailure } from './summary.js';
import { element } from './xml.js';

const seconds = (ms: number) => (ms / 1000).toFixed(3);

/**
 * The run as JUnit XML in the dialect that GitLab and Jenkins read: a suite per theme (first component of the case id), a
 * test case per variant. `failure` is a verdict on QEMU, typed crash, hang or violation, or an expectation that is stale;
 * `error` is an inconclusive one; `skipped` is also a failure that is known.
 */
export function renderJunit(result: RunResult, contract: readonly Requirement[]): string {
  const themes = groupBy(result.variants, (variant) => variant.case.split('.')[0]!);
  const suites = [...themes].map(([theme, variants]) => {
    const properties = element('properties', {}, [
      element('property', { name: 'qemu.path', value: result.qemu.path }),
      element('property', { name: 'qemu.version', value: result.qemu.versionText }),
      element('property', { name: 'qemu.package', value: result.qemu.package ?? 'none' }),
      element('property', { name: 'qemu.buildId', value: result.qemu.buildId ?? 'none' }),
      element('property', { name: 'qemu.sha256', value: result.qemu.sha256 ?? 'unknown' }),
      element('property', { name: 'contract', value: String(result.contract.version) }),
      element('property', { name: 'expectations', value: result.expectations?.file ?? 'none' }),
      element('property', { name: 'tester', value: `${result.tester.name} ${result.tester.version}` }),
    ]);
    const cases = named(variants).map(({ name, result: one }) => renderCase(one, name, contract));
    return element(
      'testsuite',
      { name: theme, ...totals(variants), timestamp: result.startedAt.replace(/\.\d+Z$/, '') },
      [properties, ...cases],
    );
  });
  // Strict schemas (Jenkins' xunit plugin) know no `skipped` here.
  const { skipped: _, ...sums } = totals(result.variants);
  const attributes = { name: result.tester.name, ...sums, time: seconds(result.durationMs) };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', attributes, suites)}\n`;
}

function totals(variants: readonly VariantResult[]) {
  const of = (name: string) => variants.filter((variant) => elementOf(variant) === name).length;
  const time = seconds(variants.reduce((sum, { durationMs }) => sum + durationMs, 0));
  return { tests: variants.length, failures: of('failure'), errors: of('error'), skipped: of('skipped'), time };
}

/** The element that tells of a result; none for a pass. */
const elements = {
  passed: undefined,
  failed: 'failure',
  known: 'skipped',
  error: 'error',
  skipped: 'skipped',
} as const;
const elementOf = (result: VariantResult) => elements[outcomeOf(result)];

function renderCase(result: VariantResult, name: string, contract: readonly Requirement[]): string {
  return element('testcase', { classname: result.case, name, time: seconds(result.durationMs) }, [
    ...outcome(result, contract),
    ...(result.verdict === 'pass' || result.verdict === 'skip' ? [] : [element('system-out', {}, systemOut(result))]),
  ]);
}

function outcome(result: VariantResult, contract: readonly Requirement[]): string[] {
  const name = elementOf(result);
  const message = messageOf(result);
  if (name === undefined) return [];
  if (name === 'skipped') return [element(name, { message })];
  // The reason tells the worst break already.
  const others = kindOf(result) === 'stale' ? [] : breaksOf(result).slice(1);
  const also = others.length > 0 ? ` (also ${others.map(({ requirement }) => requirement).join(', ')})` : '';
  return [element(name, { type: kindOf(result), message: message + also }, details(result, contract))];
}

const details = (result: VariantResult, contract: readonly Requirement[]) => renderFailure(result, contract).join('\n');

function systemOut({ title, reproduce, timeline }: VariantResult): string {
  return [title, `again: ${reproduce}`, ...(timeline ? [`timeline: ${timeline}`] : [])].join('\n');
}
