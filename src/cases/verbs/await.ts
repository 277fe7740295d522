import { z } from 'zod';
import { NIC_ID } from '../../qemu/index.js';
import type { EventOf, EventType } from '../../timeline/index.js';
import { type Stage, StepFailed } from '../stage.js';
import type { Verb } from './verb.js';

const events = {
  /** Start-up of QEMU ends with the first handshake, so QMP and the driver come after it. */
  async ready(stage: Stage) {
    await stage.until('handshake done', () => stage.handshakeDone());
    await stage.bringUp();
    await stage.until('all rings of the driver running', () => stage.ringsRunning());
    await link(stage, true);
    await stage.sample();
  },
  async handshake(stage: Stage) {
    await stage.until('handshake done', () => stage.handshakeDone());
  },
  async guest(stage: Stage) {
    await stage.bringUp();
  },
  async qmp(stage: Stage) {
    await stage.qmpReady();
  },
  async heartbeat(stage: Stage) {
    await stage.sample();
  },
  async session(stage: Stage) {
    await stage.until('a session', () => stage.peer.session !== undefined);
  },
  async fault(stage: Stage) {
    await stage.until('the fault', () => since(stage, 'peer.fault') !== undefined);
  },
  async refused(stage: Stage) {
    const closed = () => since(stage, 'session.close', (close) => close.by === 'front-end') !== undefined;
    await stage.until('QEMU’s refusal', closed);
  },
  async silent(stage: Stage) {
    await stage.until('QMP silent', () => since(stage, 'qmp.silent') !== undefined);
  },
  async answer(stage: Stage) {
    const answer = () => since(stage, 'wire.backend-recv') ?? since(stage, 'wire.backend-close');
    await stage.until('QEMU’s answer to the back-end', () => answer() !== undefined);
  },
  async reaction(stage: Stage) {
    const { t } = stage.recorder.latest('peer.fault') ?? { t: 0 };
    const answer = () => since(stage, 'qmp.heartbeat', ({ sent }) => sent >= t) ?? since(stage, 'qmp.silent');
    await stage.until('QMP’s answer or silence', () => answer() !== undefined);
  },
  async stalled(stage: Stage) {
    await stage.until('the stalled message', () => stage.peer.session?.stalled ?? false);
  },
  async commands(stage: Stage) {
    await stage.finishBegun();
  },
  async 'link-down'(stage: Stage) {
    await link(stage, false);
  },
  async 'link-up'(stage: Stage) {
    await link(stage, true);
  },
  /** QEMU lowers the link, and takes the rings back, in one go with all that follows at once; a look of its own is after that. */
  async lost(stage: Stage) {
    await events.disconnected(stage);
    await link(stage, false);
    await stage.sample();
  },
  async unplugged(stage: Stage) {
    const nic = ({ event, data }: EventOf<'qmp.event'>) =>
      event === 'DEVICE_DELETED' && (data as { device?: string }).device === NIC_ID;
    await stage.until('the device’s removal', () => sinceCommand(stage, nic));
  },
  async copied(stage: Stage) {
    await migration(stage, 'memory copied', (begin) => stage.recorder.latest('migration.hold')?.migration === begin);
  },
  async 'switch-over'(stage: Stage) {
    const paused = (begin: number) => {
      const told = stage.recorder.latest('migration.status');
      return told?.migration === begin && told.status === 'pre-switchover';
    };
    await migration(stage, 'the pause before the switch-over', paused);
  },
  async migrated(stage: Stage) {
    await stage.until('the migration’s end', () => ended(stage) !== undefined);
  },
  async disconnected(stage: Stage) {
    if (await stage.readConnected())
      await stage.until('chardev disconnected', () => stage.recorder.latest('chardev.state')?.connected === false);
  },
} satisfies Record<string, (stage: Stage) => Promise<void>>;

/** The end of the last migration. */
function ended({ recorder }: Stage): EventOf<'migration.end'> | undefined {
  const begin = recorder.latest('migration.begin');
  if (!begin) throw new StepFailed('there was no migration');
  const end = recorder.latest('migration.end');
  return end?.migration === begin.migration ? end : undefined;
}

/** Waits until the last migration has come to a point on its way. */
async function migration(stage: Stage, what: string, test: (migration: number) => boolean): Promise<void> {
  const { migration: number } = stage.recorder.latest('migration.begin') ?? { migration: 0 };
  await stage.until(what, () => test(number) || ended(stage) !== undefined);
  const end = ended(stage);
  if (end) throw new StepFailed(`${what}: the migration ${end.status}${end.reason ? `: ${end.reason}` : ''}`);
}

/** The last event of a type since the schedule last did something; to wait is to do nothing. */
function since<T extends EventType>(
  stage: Stage,
  type: T,
  test: (event: EventOf<T>) => boolean = () => true,
): EventOf<T> | undefined {
  const { events } = stage.recorder;
  for (let i = events.length - 1; i >= 0; i--) {
    const event = events[i]!;
    if (event.type === 'step.begin' && event.verb !== 'await') return undefined;
    if (event.type === type && test(event as EventOf<T>)) return event as EventOf<T>;
  }
  return undefined;
}

/** Whether an event of QMP's came since the last command of the schedule, or since the start. */
function sinceCommand({ recorder }: Stage, test: (event: EventOf<'qmp.event'>) => boolean): boolean {
  for (let i = recorder.events.length - 1; i >= 0; i--) {
    const event = recorder.events[i]!;
    if (event.type === 'step.begin' && event.verb === 'qmp') return false;
    if (event.type === 'qmp.event' && test(event)) return true;
  }
  return false;
}

/** Reads the bit first: a change that came and went before is no change to wait for. A guest of its own tells its carrier. */
async function link(stage: Stage, up: boolean): Promise<void> {
  const now = await stage.readLink();
  if (now === undefined || now === up) return;
  const { recorder } = stage;
  await stage.until(
    `guest-visible link ${up ? 'up' : 'down'}`,
    () => (recorder.latest('driver.link') ?? recorder.latest('guest.carrier'))?.up === up,
  );
}

const names = Object.keys(events) as (keyof typeof events)[];

export const awaitEvent: Verb<keyof typeof events | { event: string }> = {
  name: 'await',
  help:
    'Waits for an event: session (connected), handshake (done), qmp (start-up is over), heartbeat (QMP answers now: QEMU is ' +
    'through with what it was at), ready (handshake and QMP; with a driver, ' +
    'which it starts unless it runs, rings running and link up), guest (the driver alone, or the guest that has it, is up), ' +
    'fault (the peer did what it was to do wrong), refused (QEMU closed the connection), ' +
    'stalled (QEMU waits for the answer that the peer withholds), silent (QMP has not answered for a second), ' +
    'reaction (either it has answered or it is silent), answer (QEMU answered a request of the back-end, or closed its ' +
    'channel), unplugged (a network device that is removed is gone), commands (all that was begun without waiting is done), copied (a migration that is held there has sent all of ' +
    'memory), switch-over (it pauses before that), migrated (it is over, however it ended), link-down, link-up, disconnected, ' +
    'lost (disconnected, with a driver its link down, and what QEMU does thereupon done). event: one of QMP, since the last ' +
    'command of the schedule.',
  schema: z.union([
    z.enum(names),
    z.strictObject({ event: z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'the name of a QMP event such as RESET') }),
  ]),
  async run(stage, event) {
    if (typeof event === 'string') await events[event](stage);
    else await stage.until(`the event ${event.event}`, () => sinceCommand(stage, (one) => one.event === event.event));
  },
};
