import { z } from 'zod';
import { selections } from '../cases/index.js';
import { levels } from '../contract/index.js';
import type { RunResult } from './result.js';

const text = z.string();
const texts = z.array(text);
const count = z.int().min(0);
const ms = z.number().min(0).describe('Milliseconds');
const role = z.enum(['server', 'client']).describe("The role of QEMU's chardev");
const kind = z.enum(['crash', 'hang', 'violation']);
const hex = (digits: string) => z.string().regex(new RegExp(`^[0-9a-f]${digits}$`));

const judgement = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('hold'), seen: text, events: z.array(count) }),
  z.object({
    outcome: z.literal('break'),
    kind,
    seen: text,
    events: z.array(count),
    also: texts.exactOptional().describe('What more broke it: the first 50 different ones'),
  }),
  z.object({
    outcome: z.literal('not-applicable'),
    seen: text,
    events: z.array(count).length(0) as unknown as z.ZodType<[]>,
  }),
]);

/** Events are told apart by `type`; src/timeline/events.ts has them all. */
const event = z.looseObject({ seq: count, t: z.number(), type: text }) as unknown as z.ZodType<
  RunResult['variants'][number]['excerpt'][number]
>;

const variant = z.object({
  place: z.number().min(0).describe('Where it stands in the whole selection, of shards that are merged, too'),
  variant: text.min(1).describe('case-id[key=value,...]; may come several times with --repeat'),
  case: text.min(1),
  title: text,
  role,
  machine: text,
  profile: text.describe('The recorded back-end that the peer acted as'),
  verdict: z.enum(['pass', 'fail', 'inconclusive', 'skip']),
  kind: kind.exactOptional().describe('How it failed'),
  reason: text.exactOptional().describe('In one line: the worst break, or why there is no verdict on QEMU'),
  expectation: z
    .object({
      state: z.enum(['met', 'stale', 'exceeded']),
      place: text.describe('Where the entry stands: file:line'),
      reason: text,
      reference: text,
      broken: texts.describe('Requirements that broke'),
      held: texts.describe('Of what is expected to break, what held'),
      more: texts.describe('What broke and is not expected to, or not in this way'),
    })
    .exactOptional()
    .describe('Where the expectation file has an entry for the variant, and something broke or ought to have'),
  requirements: z
    .array(z.object({ requirement: text, judgement }))
    .describe('Every requirement judged, in the order of the contract; empty for skip'),
  outages: z.array(
    z.object({
      session: count,
      awayMs: ms,
      restartMs: ms.exactOptional(),
      txMs: ms.exactOptional(),
      rxMs: ms.exactOptional(),
      pingMs: ms.exactOptional(),
      pingsLost: count.exactOptional(),
      completedByQemu: count,
    }),
  ),
  stalls: z
    .array(z.object({ session: count, message: text.exactOptional(), ms, recoveryMs: ms.exactOptional() }))
    .describe("Times in which a peer kept QEMU's main loop waiting"),
  durationMs: ms,
  timeline: z
    .string()
    .regex(/^timelines\/[\w.-]+\.jsonl$/)
    .exactOptional()
    .describe('Its file in the run folder; absent for skip'),
  excerpt: z.array(event).describe('For fail and inconclusive: the events that reports show'),
  reproduce: text.describe('The command that runs just this variant again'),
});

/** The content of results.json. */
export const runResult: z.ZodType<RunResult> = z.object({
  schema: z.literal(2).describe('Rises when a field goes or changes its meaning; further fields may come'),
  tester: z.object({ name: text, version: text }),
  contract: z.object({ version: z.int().min(1) }).describe('Verdicts of different versions cannot be compared'),
  startedAt: z.iso.datetime().describe('When the run began, UTC'),
  durationMs: ms,
  qemu: z.object({
    path: text.describe('The binary or script that was named'),
    version: z.string().regex(/^\d+\.\d+\.\d+$/),
    versionText: text.describe('First line of --version'),
    binary: text.describe('The binary that was executed'),
    sha256: hex('{64}').nullable().describe('Of the binary; null where it cannot be read'),
    buildId: hex('+').nullable().describe("The linker's build id; null where there is none"),
    package: text
      .nullable()
      .describe('Name and version of the package that the binary belongs to; null where none does'),
  }),
  hosts: z
    .array(
      z.object({
        kernel: text.describe('As uname -r'),
        distribution: text.nullable().describe('PRETTY_NAME of os-release'),
        architecture: text,
        cpu: text.nullable().describe('Model of the first CPU'),
        cpus: z.int().min(1).describe('CPUs that the tester may use'),
      }),
    )
    .min(1)
    .describe('Where it ran; several for shards that were merged'),
  expectations: z
    .object({
      file: text,
      sha256: hex('{64}').exactOptional().describe('Of the file as it was: expected.yaml beside the results is a copy'),
    })
    .exactOptional()
    .describe('The expectation file that was used; absent: every failure counts'),
  selection: z.object({
    selectors: texts,
    roles: z.array(role),
    machines: texts,
    profiles: texts,
    accel: text.describe('As asked for: auto, or an accelerator'),
    repeat: z.int().min(1),
    jobs: z.int().min(1),
    selection: z.enum(selections),
    level: z.enum(levels).describe('Requirements from this level up fail a variant'),
    shard: z
      .object({ index: z.int().min(1), of: z.int().min(1) })
      .exactOptional()
      .describe('Which part of the selection was run; absent: all of it'),
  }),
  plan: z
    .object({
      variants: count.describe('Before dry runs discover more'),
      sha256: hex('{64}').describe('Of what they do'),
    })
    .exactOptional()
    .describe('What was to be run, by all shards together; absent: a drill'),
  summary: z.object({
    total: count,
    pass: count,
    fail: count.describe('expected + crash + hang + violation'),
    inconclusive: count,
    skip: count,
    expected: count.describe('Failures that are known'),
    stale: count.describe('Variants of which more held than is expected'),
    crash: count,
    hang: count,
    violation: count,
  }),
  variants: z.array(variant),
  notRun: texts.describe("The variants that the run's early end left out, as far as they were known"),
  interrupted: z.boolean(),
  rounds: z
    .int()
    .min(1)
    .exactOptional()
    .describe('Rounds of --repeat-until-fail; variants has the last result of each'),
  exitCode: z.union([z.literal(0), z.literal(1), z.literal(3), z.literal(4), z.literal(130)]),
});

/** The JSON Schema of results.json. It names every field; a reader that is to last takes further ones, too. */
export function resultsSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(runResult, { io: 'output' });
  return { $schema, title: 'results.json of vhost-reconnect', ...schema };
}
