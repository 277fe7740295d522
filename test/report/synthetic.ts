import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outages, registry } from '../../src/contract/index.js';
import type { RunResult, VariantResult } from '../../src/runner/index.js';
import { type Event, type EventBody, writeTimeline } from '../../src/timeline/index.js';
import { server } from '../contract/exchange.js';
import { runOf, variant } from './fixtures.js';

/** Text as a hostile QEMU or peer would write it, if it knew of the report. */
export const HOSTILE = `</script></pre></details><script>window.hacked = true</script><img src=x onerror="window.hacked=true">"'&lt;\u2028\u202e`;

/** A run with its folder of timelines, written to the disk as a real one. */
export interface Stored {
  result: RunResult;
  out: string;
  remove(): Promise<void>;
}

/** The events of a variant whose QEMU died: a good life, then silence, last words and the end. */
function death(id: string, extra: string): Event[] {
  const story = server();
  const { end, events } = story.timeline();
  const tail: (EventBody & { t: number })[] = [
    ...Array.from({ length: 80 }, (_, i) => ({
      type: 'qmp.heartbeat' as const,
      t: end + i * 100 + 1,
      sent: end + i * 100,
      latency: 1,
      status: 'running',
    })),
    { type: 'qmp.silent', t: end + 9_000, since: end + 8_000 },
    { type: 'qemu.stderr', t: end + 9_100, line: `tcp_chr_change_state: Assertion failed ${extra}` },
    { type: 'qemu.exit', t: end + 9_200, code: null, signal: 'SIGABRT' },
    { type: 'qemu.post-mortem', t: end + 9_300, backtrace: [`#0  abort () ${extra}`, '#1  main ()'] },
    { type: 'run.end', t: end + 9_400 },
  ];
  // Its own end goes: a QEMU dies once.
  const life = events.filter(({ type }) => type !== 'run.end' && type !== 'qemu.exit');
  return [...life, ...tail].map((event, seq) => ({
    ...event,
    seq,
    ...(event.type === 'run.begin' && { variant: id }),
  })) as Event[];
}

/**
 * A result of any size: every requirement of the contract judged in every variant; of the failures, which lie scattered, each
 * has its timeline on the disk.
 */
export async function store(variants: number, failures: number, text = ''): Promise<Stored> {
  const out = await mkdtemp(join(tmpdir(), 'report-html-'));
  await mkdir(join(out, 'timelines'));
  const story = server().timeline();
  const held = registry.map(({ id }) => ({
    requirement: id,
    judgement: { outcome: 'hold' as const, seen: 'all was as it should be', events: [1, 2, 3] },
  }));
  const every = Math.max(1, Math.floor(variants / Math.max(1, failures)));
  const results: VariantResult[] = [];
  for (let i = 0; i < variants; i++) {
    const id = `theme.case-${i % 120}[role=server,message=SET_VRING_CALL.${i},leave=close]`;
    const common = { variant: id, title: `A title ${text}`, outages: outages(story), requirements: held };
    if (i % every !== 0 || i / every >= failures) {
      results.push(variant(common));
      continue;
    }
    const events = death(id, text);
    const timeline = `timelines/${i}.jsonl`;
    await writeTimeline(join(out, timeline), events);
    const broken = registry[(i / every) % 7]!.id;
    const at = events.slice(-4, -1).map(({ seq }) => seq);
    results.push(
      variant({
        ...common,
        verdict: 'fail',
        kind: broken === 'R1' ? 'crash' : 'violation',
        reason: `${broken}: it broke ${text}`,
        timeline,
        excerpt: events.slice(-60),
        requirements: held.map((one) =>
          one.requirement === broken
            ? {
                requirement: broken,
                judgement: {
                  outcome: 'break',
                  kind: broken === 'R1' ? 'crash' : 'violation',
                  seen: `it broke ${text}`,
                  events: at,
                },
              }
            : one,
        ),
      }),
    );
  }
  return { result: runOf(results, { exitCode: 3 }), out, remove: () => rm(out, { recursive: true }) };
}
