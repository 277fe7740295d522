import { z } from 'zod';
import type { Stage } from '../stage.js';
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
  async qmp(stage: Stage) {
    await stage.qmpReady();
  },
  async session(stage: Stage) {
    await stage.until('a session', () => stage.peer.session !== undefined);
  },
  async stalled(stage: Stage) {
    await stage.until('the stalled message', () => stage.peer.session?.stalled ?? false);
  },
  async 'link-down'(stage: Stage) {
    await link(stage, false);
  },
  async 'link-up'(stage: Stage) {
    await link(stage, true);
  },
  async disconnected(stage: Stage) {
    if (await stage.readConnected())
      await stage.until('chardev disconnected', () => stage.recorder.latest('chardev.state')?.connected === false);
  },
} satisfies Record<string, (stage: Stage) => Promise<void>>;

/** Reads the bit first: a change that came and went before is no change to wait for. */
async function link(stage: Stage, up: boolean): Promise<void> {
  const now = await stage.readLink();
  if (now === undefined || now === up) return;
  await stage.until(`guest-visible link ${up ? 'up' : 'down'}`, () => stage.recorder.latest('driver.link')?.up === up);
}

export const awaitEvent: Verb<keyof typeof events> = {
  name: 'await',
  help:
    'Waits for an event: session (connected), handshake (done), qmp (start-up is over), ready (handshake and QMP; with a driver, ' +
    'which it starts unless it runs, rings running and link up), ' +
    'stalled (QEMU waits for the answer that the peer withholds), link-down, link-up, disconnected.',
  schema: z.enum(Object.keys(events) as (keyof typeof events)[]),
  async run(stage, event) {
    await events[event](stage);
  },
};
