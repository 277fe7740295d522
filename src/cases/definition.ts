import { z } from 'zod';
import { machineExtras, machineTypes } from '../qemu/index.js';
import { ringLayouts } from '../virtio/index.js';
import { duration } from './duration.js';
import type { Verb } from './verbs/verb.js';

/** What a case file may speak of: step verbs and profiles of the peer. */
export interface Vocabulary {
  verbs: readonly Verb[];
  /** Names of the peer's profiles. */
  profiles: readonly string[];
}

/** Dot-separated components; the first is the theme. */
export const idPattern = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/;
const referencePattern = /^(contract:[RTM]\d+|defect:[A-Za-z0-9-]+|qemu:\S+|spec:.+)$/;

/** What a case can ask of the QEMU binary beyond its roles and machines: an option, or a version; see needs.ts. */
const need = z.union([z.enum(['reconnect-ms']), z.string().regex(/^qemu-\d+\.\d+$/, 'a version such as qemu-7.2')]);

/**
 * Which runs a variant is part of, smallest first; each has all of those before it. But for `guest`: that is what boots a guest
 * of its own, which is in no other than full.
 */
export const selections = ['quick', 'standard', 'full', 'guest'] as const;
export type Selection = (typeof selections)[number];
export const isSelection = (word: string): word is Selection => (selections as readonly string[]).includes(word);

/** What drives the device: nobody, the tester as Linux does, or a Linux itself. */
export const drivers = ['none', 'linux', 'guest'] as const;
export type DriverChoice = (typeof drivers)[number];

/** The values of a matrix key that only a dry run can tell. */
export const DISCOVERED = 'discovered';
/** The value of such a key in the dry run itself. */
export const DRY = 'none';

const role = z.enum(['server', 'client']);
const text = z.string().trim().min(1, 'some text');
const scalar = z.union([
  z.string().regex(/^[\w.+:-]+$/, 'letters, digits and . + : - _ only'),
  z.number(),
  z.boolean(),
]);
const pattern = z.union([
  z.string().regex(/^[\w.+:*-]+$/, 'letters, digits and . + : - _ only; * stands for anything'),
  z.number(),
  z.boolean(),
]);
const assignments = z.array(z.record(z.string(), pattern));
const unique = [(list: unknown[]) => new Set(list).size === list.length, 'no item twice'] as const;

/** What a case says of itself; none of it may hold placeholders. */
export const head = z.strictObject({
  id: z
    .string()
    .regex(idPattern, 'an id such as server.absence.beyond-timer')
    .describe('Stable; unique in the catalogue'),
  title: text.describe('What holds when the case passes, in one line'),
  level: z.enum(['must', 'should', 'info']).describe('How much a failure weighs'),
  why: text.describe('Why the case exists: the defect or the clause behind it'),
  references: z
    .array(z.string().regex(referencePattern, 'contract:R7, defect:<name>, qemu:<file>#<function> or spec:<section>'))
    .min(1)
    .refine(...unique),
  roles: z
    .array(role)
    .min(1)
    .refine(...unique)
    .describe("Roles of QEMU's chardev that the case applies to"),
  machines: z
    .array(z.enum(machineTypes))
    .min(1)
    .refine(...unique)
    .default([...machineTypes])
    .describe('Machine types that the case applies to'),
  needs: z.array(need).default([]).describe('What the QEMU binary must have; otherwise the case is skipped'),
  matrix: z
    .record(
      z.string().regex(/^[a-z][A-Za-z0-9]*$/, 'a name of letters and digits'),
      z.union([
        z.literal(DISCOVERED),
        z
          .array(scalar)
          .min(1)
          .refine(...unique),
      ]),
    )
    .default({})
    .describe(
      'Values for the $placeholders: the case runs once for every combination; discovered (for one key) = once without, ' +
        'and then for every cut point that this dry run passed',
    ),
  exclude: z
    .array(z.record(z.string(), scalar))
    .default([])
    .describe('Combinations to leave out; each names some matrix keys (or role) with a value'),
  selections: z
    .strictObject({
      quick: assignments.default([]).describe('Nothing unless said'),
      standard: assignments.default([{}]).describe('Everything unless said, and all of quick'),
    })
    .prefault({})
    .describe(
      'Which combinations the smaller selections have; each names some matrix keys (or role, or machine; else that is q35) ' +
        'with a value, in which * stands for anything. full has everything; what has a guest of its own is in no smaller one',
    ),
});

const sizePattern = /^(\d+)(M|G)$/;
const size = z
  .string()
  .regex(sizePattern, 'a size such as 64M or 1G')
  .transform((written) => {
    const [, count, unit] = sizePattern.exec(written)!;
    return Number(count) * (unit === 'G' ? 1024 : 1) * 1024 * 1024;
  });

/** `repeat`: the loader writes its steps out as often as asked. */
export const repeatHelp = 'Repeats steps.';
export const repeat = z.strictObject({ times: z.int().min(1).max(1000), steps: z.array(z.unknown()).min(1) });

/** `when`: the loader writes its steps out for the combinations that it names, and leaves them out of the others. */
export const when = z.looseObject({ steps: z.array(z.unknown()).min(1) });
export const whenHelp = 'Steps for some values of matrix keys only: { <key>: <value> or [<values>], steps: [...] }.';

/** Steps in any form: each is held against its verb. */
export const stepList = z.array(z.unknown()).min(1);

/** The part of a case, beside its steps, in which placeholders may stand for values. */
export const setting = z.strictObject({
  start: z
    .enum(['peer-first', 'qemu-first'])
    .default('peer-first')
    .describe('peer-first: the peer is there when QEMU starts. qemu-first (client): QEMU dials before anybody listens'),
  profile: z.string().optional().describe("The peer's profile, where the case is about it; otherwise the run chooses"),
  qemu: z
    .strictObject({
      reconnect: duration.default(1000).describe('Reconnect interval (client); 0 = never'),
      queues: z.int().min(1).max(8).default(1).describe('Queue pairs'),
      ring: z.enum(ringLayouts).default('split').describe('Layout of the rings that the device offers'),
      memory: size.optional().describe('Guest RAM; 64M, or 128M for a guest of its own'),
      mtu: z.int().min(68).max(65_535).optional().describe('MTU that the device tells the guest, and the back-end'),
      chardev: z
        .array(
          z.strictObject({
            option: z.string().regex(/^[a-z][a-z-]*$/, 'the name of an option'),
            value: z.union([z.string(), z.number()]),
          }),
        )
        .transform((list) => Object.fromEntries(list.map(({ option, value }) => [option, `${value}`])))
        .optional()
        .describe(
          'Options of the chardev in place of those that its role asks for, or beside them. QEMU may refuse them: then it ' +
            'exits, and the rest of the steps is left out',
        ),
      extras: z
        .array(z.enum(machineExtras))
        .refine(...unique)
        .default([])
        .describe(
          'What the machine has besides: monitor = a second monitor; on q35 and pc, memory = room for a DIMM, and 64 MiB by the name of `more` to make one ' +
            'of; balloon = a virtio-balloon; removable = a bus of which the network device, by the name of `nic`, can be removed',
        ),
    })
    .prefault({}),
  driver: z
    .enum(drivers)
    .describe(
      'Guest driver; with none, the steps for drivers and traffic do nothing. guest: a Linux that boots, pings the back-end, and ' +
        'has a driver of its own',
    ),
});
export type Setting = z.output<typeof setting>;

/** Schema of one step: exactly one key, a verb or `repeat`. */
export function stepSchema(verbs: readonly Verb[]): z.ZodType {
  const shape: Record<string, z.ZodType> = {};
  for (const verb of verbs) shape[verb.name] = verb.schema.optional().describe(verb.help);
  shape.repeat = z
    .strictObject({ ...repeat.shape, steps: z.array(z.lazy(() => step)).min(1) })
    .optional()
    .describe(repeatHelp);
  shape.when = z
    .object({ steps: z.array(z.lazy(() => step)).min(1) })
    .catchall(z.union([pattern, z.array(pattern).min(1)]))
    .optional()
    .describe(whenHelp);
  const step: z.ZodType = z.strictObject(shape).meta({ id: 'step', minProperties: 1, maxProperties: 1 });
  return step;
}
