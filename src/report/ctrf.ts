import type { Requirement } from '../contract/index.js';
import type { RunResult } from '../runner/index.js';
import { groupBy } from './group.js';
import { kindOf, messageOf, named, type Outcome, outcomeOf } from './outcome.js';
import { renderFailure } from './summary.js';

/** A known failure is no failure of the run, and no pass of QEMU. */
const statuses = { passed: 'passed', failed: 'failed', known: 'other', error: 'failed', skipped: 'skipped' } as const;

/** The run in the Common Test Report Format (https://ctrf.io, schema 0.0): a test for each variant. */
export function renderCtrf(result: RunResult, contract: readonly Requirement[]): string {
  const { tester, qemu, startedAt, durationMs, variants } = result;
  const outcomes = groupBy(variants, outcomeOf);
  const count = (...of: Outcome[]) => of.reduce((sum, outcome) => sum + (outcomes.get(outcome)?.length ?? 0), 0);
  const start = Date.parse(startedAt);
  const report = {
    reportFormat: 'CTRF',
    specVersion: '0.0.0',
    generatedBy: tester.name,
    timestamp: startedAt,
    results: {
      tool: { name: tester.name, version: tester.version },
      summary: {
        tests: variants.length,
        passed: count('passed'),
        failed: count('failed', 'error'),
        skipped: count('skipped'),
        pending: 0,
        other: count('known'),
        start,
        stop: Math.round(start + durationMs),
      },
      tests: named(variants).map(({ name, result: one }) => {
        const outcome = outcomeOf(one);
        const quiet = outcome === 'passed' || outcome === 'skipped';
        return {
          name,
          status: statuses[outcome],
          rawStatus: outcome === 'passed' || outcome === 'skipped' ? outcome : `${outcome}: ${kindOf(one)}`,
          duration: Math.round(one.durationMs),
          suite: [one.case.split('.')[0]!, one.case],
          ...(outcome === 'passed' ? {} : { message: messageOf(one) }),
          ...(quiet ? {} : { trace: renderFailure(one, contract).join('\n') }),
          extra: { reproduce: one.reproduce, ...(one.timeline && { timeline: one.timeline }) },
        };
      }),
      environment: { appName: 'QEMU', appVersion: qemu.versionText, extra: { qemu: qemu.path } },
    },
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}
