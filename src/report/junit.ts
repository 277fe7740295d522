import type { Requirement } from '../contract/index.js';
import type { RunResult, VariantResult } from '../runner/index.js';
import { breaksOf } from './failure.js';
import { groupBy } from './group.js';
import { renderFailure } from './summary.js';
import { element } from './xml.js';

const seconds = (ms: number) => (ms / 1000).toFixed(3);

/**
 * The run as JUnit XML in the dialect that GitLab and Jenkins read: a suite per theme (first component of the case id), a
 * test case per variant. `failure` is a verdict on QEMU, typed crash, hang or violation; `error` is an inconclusive one.
 */
export function renderJunit(result: RunResult, contract: readonly Requirement[]): string {
  const themes = groupBy(result.variants, (variant) => variant.case.split('.')[0]!);
  const runs = new Map<string, number>();
  const suites = [...themes].map(([theme, variants]) => {
    const properties = element('properties', {}, [
      element('property', { name: 'qemu.path', value: result.qemu.path }),
      element('property', { name: 'qemu.version', value: result.qemu.versionText }),
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
  const of = (verdict: VariantResult['verdict']) => variants.filter((variant) => variant.verdict === verdict).length;
  const time = seconds(variants.reduce((sum, { durationMs }) => sum + durationMs, 0));
  return { tests: variants.length, failures: of('fail'), errors: of('inconclusive'), skipped: of('skip'), time };
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
  switch (result.verdict) {
    case 'pass':
      return [];
    case 'skip':
      return [element('skipped', { message })];
    case 'inconclusive':
      return [element('error', { type: 'inconclusive', message }, details(result, contract))];
    case 'fail': {
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
