import { z } from 'zod';
import { backSchema, didYouMean, resolveDurations, verbs as steps, toBack, type Variant } from '../cases/index.js';
import { type Back, parseCut, profiles } from '../peer/index.js';
import type { Json } from '../timeline/index.js';
import { DrillError } from './error.js';
import type { Port } from './port.js';

/** What a control verb acts on. */
export interface Scene {
  /** The ports that were meant: one, or all. */
  ports: readonly Port[];
  /** A variant of the catalogue by its id. @throws DrillError ERR_PARAMETERS */
  variant(id: string): Variant;
  /** Sends a command to QEMU's monitor, as the operator asked. */
  qmp(execute: string, args: Json | undefined): Promise<Json | undefined>;
  /** Ends the drill. */
  end(): void;
}

/** One thing that an operator can ask for. */
export interface ControlVerb<Params = unknown> {
  name: string;
  help: string;
  schema: z.ZodType<Params>;
  /** The page asks before it sends it. */
  confirm?: true;
  run(scene: Scene, params: Params): Promise<Json | undefined>;
}

const none = z.strictObject({});
const word = (name: string) => steps.find((verb) => verb.name === name)!;

/** The same at every port at once; the first refusal is told, when all have done. */
async function each(ports: readonly Port[], act: (port: Port) => Promise<void>): Promise<undefined> {
  const results = await Promise.allSettled(ports.map(act));
  const refused = results.find((result) => result.status === 'rejected');
  if (refused) throw refused.reason;
  return undefined;
}

function verb<S extends z.ZodType>(
  name: string,
  help: string,
  schema: S,
  run: (scene: Scene, params: z.output<S>) => Promise<Json | undefined>,
  { confirm }: { confirm?: true } = {},
): ControlVerb {
  return { name, help, schema, run: run as ControlVerb['run'], ...(confirm && { confirm }) };
}

const leave = z.enum(['close', 'abort', 'half-message']).default('close');
const path = z.enum(['keep', 'remove', 'listening', 'hung', 'full']).default('keep');

/** A verb of cases as it is. */
const step = (name: string, help: string, options?: { confirm: true }): ControlVerb =>
  verb(name, help, word(name).schema, ({ ports }, params) => each(ports, (port) => port.act(name, params)), options);

/** All of them, in the order of the help. */
export const controlVerbs: readonly ControlVerb[] = [
  verb(
    'up',
    'The peer arrives: it dials a listening QEMU, or listens for one that dials.',
    z.strictObject({ back: backSchema.optional().describe('What comes; the same as before unless said') }),
    ({ ports }, { back }) =>
      each(ports, (port) => {
        const given: Back = back ? toBack(back) : {};
        // A peer that dials never gives up by itself; stop ends the wait, and it dials on.
        return port.perform('up', asJson(back ?? {}), (stage) =>
          stage.orStopped(stage.peer.arrive(given, stage.starting)),
        );
      }),
  ),
  verb(
    'down',
    'The peer leaves and stays away.',
    z.strictObject({
      leave: leave.describe('How, as for restart'),
      path: path.describe('Its path meanwhile (client role), as for restart'),
    }),
    ({ ports }, { leave: how, path: fate }) =>
      each(ports, (port) => port.act('restart', { leave: how, away: 0, path: fate, back: 'never' })),
    { confirm: true },
  ),
  step('restart', 'The peer leaves and, unless never, comes back.', { confirm: true }),
  verb('stall', 'The peer hangs: connected, it reads nothing and serves no ring until resume.', none, ({ ports }) =>
    each(ports, (port) => port.perform('stall', {}, async ({ peer }) => session(port, peer).freeze())),
  ),
  verb('resume', 'A peer that hangs, or holds a message back, goes on.', none, ({ ports }) =>
    each(ports, async (port) => {
      const open = port.peer.session;
      if (open?.frozen) open.thaw();
      else if (open?.holds) port.peer.resume();
      else throw new DrillError('ERR_STEP', `${port.name}: the peer holds nothing back`, 'stall it first');
    }),
  ),
  step('flap', 'The peer comes and goes again and again, and is away in the end.', { confirm: true }),
  step('misbehave', 'The connected peer does something wrong at once.', { confirm: true }),
  verb(
    'profile',
    'What the peer acts as when it comes the next time.',
    z.strictObject({ name: z.enum(Object.keys(profiles) as [string, ...string[]]) }),
    ({ ports }, { name }) => each(ports, async (port) => port.peer.become(profiles[name]!)),
  ),
  verb(
    'cut',
    'The peer leaves at a message of QEMU, when it comes: the nth of its name from now on.',
    z.strictObject({ at: z.string().describe('Such as SET_VRING_CALL.1.after-read; none = at no message') }),
    ({ ports }, { at }) => {
      const cut = at === 'none' ? undefined : parseCut(at);
      return each(ports, async (port) => {
        if (cut) port.peer.arm(cut);
        else port.peer.disarm();
        if (cut) port.tracker.state.cut = at;
        else delete port.tracker.state.cut;
      });
    },
    { confirm: true },
  ),
  verb(
    'await',
    'Waits until something is so: ready = handshake done and the guest’s rings run again.',
    word('await').schema,
    ({ ports }, what) => each(ports, (port) => port.act('await', what)),
  ),
  verb('traffic', 'Waits until the next ping of the guest is answered.', none, ({ ports }) =>
    each(ports, (port) => port.perform('traffic', {}, (stage) => stage.traffic())),
  ),
  verb(
    'run',
    'Runs the steps of a variant of the catalogue against the live machine.',
    z.strictObject({ variant: z.string().describe('Its id, as `list` prints it') }),
    (scene, { variant: id }) => {
      const variant = scene.variant(id);
      return each(scene.ports, async (port) => {
        if (variant.role !== port.role)
          throw new DrillError('ERR_PARAMETERS', `${id} is for role ${variant.role}, ${port.name} has ${port.role}`);
        for (const { verb: name, params } of variant.steps) await port.act(name, params);
      });
    },
    { confirm: true },
  ),
  verb('stop', 'What a verb is waiting for is given up.', none, ({ ports }) =>
    each(ports, async (port) => port.stage().stop('stopped by the operator')),
  ),
  verb(
    'note',
    'Notes something down in the record.',
    z.strictObject({ text: z.string().min(1).max(1000) }),
    ({ ports }, { text }) =>
      each(ports, async (port) => {
        port.recorder.record({ type: 'drill.note', text });
        port.capture?.note(text, port.recorder.now());
      }),
  ),
  verb(
    'qmp',
    'Sends a command to QEMU’s monitor. It may change the virtual machine.',
    z.strictObject({ execute: z.string().min(1), arguments: z.record(z.string(), z.json()).optional() }),
    ({ qmp }, { execute, arguments: args }) => qmp(execute, args as Json | undefined),
    { confirm: true },
  ),
  verb(
    'end',
    'Ends the drill: the peer leaves, a spawned QEMU quits, the record is judged and written.',
    none,
    async ({ end }) => {
      end();
      return undefined;
    },
    { confirm: true },
  ),
];

/** An operator's request for a verb, checked. @throws DrillError ERR_VERB, ERR_PARAMETERS with the place */
export function checked(name: string, params: unknown): { verb: ControlVerb; params: unknown } {
  const found = controlVerbs.find((one) => one.name === name);
  if (!found) {
    const names = controlVerbs.map((one) => one.name);
    throw new DrillError('ERR_VERB', `there is no verb ${name.slice(0, 40)}`, didYouMean(name, names));
  }
  // As it is first: a note, or an argument of QMP, may look like a duration.
  const asIs = found.schema.safeParse(params ?? {});
  const result = asIs.success ? asIs : found.schema.safeParse(resolveDurations(params ?? {}).value);
  if (result.success) return { verb: found, params: result.data };
  const [issue] = result.error.issues;
  const place = issue!.path.length > 0 ? `${issue!.path.join('.')}: ` : '';
  throw new DrillError('ERR_PARAMETERS', `${name}: ${place}${issue!.message}`, found.help);
}

function session(port: Port, peer: Port['peer']) {
  if (!peer.session) throw new DrillError('ERR_STEP', `${port.name}: the peer is not connected`, 'send up first');
  return peer.session;
}

const asJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;
