import type { Requirement } from '../contract/index.js';
import { isExpected, type RunResult, type VariantResult } from '../runner/index.js';
import { expectationText } from './expectation.js';
import { breaksOf } from './failure.js';
import { groupBy } from './group.js';
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
  const runs = new Map<string, number>();
  const suites = [...themes].map(([theme, variants]) => {
    const properties = element('properties', {}, [
      element('property', { name: 'qemu.path', value: result.qemu.path }),
      element('property', { name: 'qemu.version', value: result.qemu.versionText }),
      element('property', { name: 'expectations', value: result.expectations?.file ?? 'none' }),
      element('property', { name: 'tester', value: `${result.tester.name} ${result.tester.version}` }),
    ]);
    const cases = variants.map((variant) => {
      const run = (runs.get(variant.variant) ?? 0) + 1;
      runs.set(variant.variant, run);
      return renderCase(variant, run, contract);
    });
    return element(
      'testsuite',
      { name: theme, ...totals(variants), timestamp: result.startedAt.replace(/\.\d+Z$/, '') },
      [properties, ...cases],
    );
  });
  const attributes = { name: result.tester.name, ...totals(result.variants), time: seconds(result.durationMs) };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', attributes, suites)}\n`;
}

function totals(variants: readonly VariantResult[]) {
  const of = (name: string) => variants.filter((variant) => elementOf(variant) === name).length;
  const time = seconds(variants.reduce((sum, { durationMs }) => sum + durationMs, 0));
  return { tests: variants.length, failures: of('failure'), errors: of('error'), skipped: of('skipped'), time };
}

/** The element that tells of a result; none for a pass. */
function elementOf(result: VariantResult): 'failure' | 'error' | 'skipped' | undefined {
  if (result.expectation?.state === 'stale') return 'failure';
  if (result.verdict === 'inconclusive') return 'error';
  if (result.verdict === 'fail') return isExpected(result) ? 'skipped' : 'failure';
  return result.verdict === 'skip' ? 'skipped' : undefined;
}

/** @param run counts the runs of the same variant (--repeat): names of test cases must differ. */
function renderCase(result: VariantResult, run: number, contract: readonly Requirement[]): string {
  const name = run === 1 ? result.variant : `${result.variant} (run ${run})`;
  return element('testcase', { classname: result.case, name, time: seconds(result.durationMs) }, [
    ...outcome(result, contract),
    ...(result.verdict === 'pass' || result.verdict === 'skip' ? [] : [element('system-out', {}, systemOut(result))]),
  ]);
}

function outcome(result: VariantResult, contract: readonly Requirement[]): string[] {
  const message = result.reason ?? '';
  switch (elementOf(result)) {
    case undefined:
      return [];
    case 'skipped':
      return [
        element('skipped', {
          message: isExpected(result) ? `expected failure: ${expectationText(result)}` : message,
        }),
      ];
    case 'error':
      return [element('error', { type: 'inconclusive', message }, details(result, contract))];
    case 'failure': {
      if (result.expectation?.state === 'stale')
        return [element('failure', { type: 'stale', message: expectationText(result) }, details(result, contract))];
      // The reason tells the worst break already.
      const others = breaksOf(result).slice(1);
      const also = others.length > 0 ? ` (also ${others.map(({ requirement }) => requirement).join(', ')})` : '';
      return [element('failure', { type: result.kind, message: message + also }, details(result, contract))];
    }
  }
}

const details = (result: VariantResult, contract: readonly Requirement[]) => renderFailure(result, contract).join('\n');

function systemOut({ title, reproduce, timeline }: VariantResult): string {
  return [title, `again: ${reproduce}`, ...(timeline ? [`timeline: ${timeline}`] : [])].join('\n');
}
