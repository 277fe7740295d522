import { afterEach, expect } from 'vitest';
import { TinyBackEnd } from './back-end.js';
import { TinyGuest } from './guest.js';
import { RunningTwin, type TwinOptions } from './tester.js';

/** Everything a test started, ended after it. */
const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

/** A twin that was just started, and its back-end, which listens in the client role unless `absent`. */
export async function started(options: TwinOptions & { absent?: boolean }) {
  const place = RunningTwin.prepare();
  const peer = new TinyBackEnd(place.socketPath);
  running.push(() => peer.close());
  if (options.role === 'client' && !options.absent) await peer.listen();
  const twin = await RunningTwin.start(place, options);
  running.push(() => twin.stop());
  return { twin, peer };
}

/** A twin whose back-end went through the first handshake. */
export async function connected(options: TwinOptions) {
  const stage = await started(options);
  if (options.role === 'server') await stage.peer.dial();
  await stage.twin.qmp('qmp_capabilities');
  return stage;
}

/** The same with a guest whose rings run. */
export async function withGuest(options: TwinOptions) {
  const { twin, peer } = await connected(options);
  const guest = new TinyGuest(twin, options.queuePairs);
  await guest.start();
  return { twin, peer, guest };
}

/** Whether the monitor calls the chardev connected. */
export const chardevConnected = (twin: RunningTwin): Promise<boolean> =>
  twin.qmp<boolean>('qom-get', { path: '/chardevs/c0', property: 'connected' });

/** The back-end leaves; resolves when the twin has noticed. */
export async function leave({ twin, peer }: { twin: RunningTwin; peer: TinyBackEnd }): Promise<void> {
  peer.leave();
  await expect.poll(() => chardevConnected(twin)).toBe(false);
}

/** It leaves a server and is back; resolves when the monitor answers again, which is after the handshake. */
export async function restart(stage: { twin: RunningTwin; peer: TinyBackEnd }): Promise<void> {
  await leave(stage);
  await stage.peer.dial();
  await expect.poll(() => chardevConnected(stage.twin)).toBe(true);
}
