import { stringify } from 'yaml';
import type { RunResult, VariantResult } from '../runner/index.js';
import { breaksOf } from './failure.js';
import { printable } from './format.js';
import { kindOf, messageOf, named, outcomeOf } from './outcome.js';

/**
 * The run as TAP version 14 (https://testanything.org/tap-version-14-specification.html): a test point for each variant.
 * A known failure is `not ok` with a TODO directive, which consumers do not count; what could not be judged is `not ok`.
 */
export function renderTap(result: RunResult): string {
  const points = named(result.variants).map(({ name, result: one }, i) => point(one, i + 1, name));
  return [
    'TAP version 14',
    `1..${points.length}`,
    ...points,
    ...(result.interrupted ? ['Bail out! the run was interrupted'] : []),
    '',
  ].join('\n');
}

function point(result: VariantResult, number: number, name: string): string {
  const outcome = outcomeOf(result);
  const ok = outcome === 'passed' || outcome === 'skipped' ? 'ok' : 'not ok';
  const message = oneLine(messageOf(result));
  const directive = outcome === 'skipped' ? ` # SKIP ${message}` : outcome === 'known' ? ` # TODO ${message}` : '';
  const line = `${ok} ${number} - ${oneLine(name)}${directive}`;
  return ok === 'ok' ? line : [line, ...diagnostics(result)].join('\n');
}

function diagnostics(result: VariantResult): string[] {
  const block = stringify(
    {
      message: printable(messageOf(result)),
      severity: outcomeOf(result) === 'known' ? 'todo' : 'fail',
      kind: kindOf(result),
      duration_ms: Math.round(result.durationMs),
      requirements: breaksOf(result).map(
        ({ requirement, judgement }) => `${requirement}: ${printable(judgement.seen)}`,
      ),
      again: result.reproduce,
      ...(result.timeline && { timeline: result.timeline }),
    },
    { lineWidth: 0 },
  );
  return ['---', ...block.trimEnd().split('\n'), '...'].map((line) => `  ${line}`);
}

/** One line, in which neither a `#` begins a directive nor a `\` escapes something. */
const oneLine = (text: string) => printable(text.replace(/\s+/g, ' ')).replace(/[\\#]/g, '\\$&');
