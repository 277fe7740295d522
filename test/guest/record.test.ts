import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { type GuestFact, recordGuest } from '../../src/guest/index.js';
import { Recorder } from '../../src/timeline/index.js';

/** What is recorded of these lines, and the facts that were told. */
async function record(...lines: string[]) {
  const recorder = new Recorder();
  const stream = new PassThrough();
  const facts: GuestFact[] = [];
  const closed = recordGuest(stream, recorder, (fact) => facts.push(fact));
  stream.end(lines.map((line) => `[    1.000000] ${line}\r\n`).join(''));
  await closed;
  return { events: recorder.events.map(({ seq: _, t: __, ...body }) => body), facts };
}

const carriers = async (...lines: string[]) =>
  (await record(...lines)).events.flatMap((event) => (event.type === 'guest.carrier' ? [event.up] : []));

it('records what a console tells', async () => {
  const { events, facts } = await record(
    '@vr boot 6.1.0',
    '@vr carrier eth0 1 ups=1 downs=1',
    '@vr ready nics=1',
    'something else',
    '@vr ping eth0 epoch=1 seq=3 ms=1.5',
    'WARNING: CPU: 0 PID: 1 at x',
  );
  expect(events).toEqual([
    { type: 'guest.carrier', nic: 'eth0', up: true },
    { type: 'guest.ready' },
    { type: 'guest.ping', nic: 'eth0', epoch: 1, number: 3, latency: 1.5 },
    { type: 'guest.trouble', what: 'warning', line: 'WARNING: CPU: 0 PID: 1 at x' },
  ]);
  expect(facts.map(({ kind }) => kind)).toEqual(['boot', 'carrier', 'ready', 'line', 'ping', 'trouble']);
});

it('records what is told of a NIC where that belongs', async () => {
  const [all, second] = [new Recorder(), new Recorder()];
  const stream = new PassThrough();
  const closed = recordGuest(
    stream,
    all,
    () => {},
    (nic) => (nic === 'eth1' ? second : undefined),
  );
  for (const line of ['ready nics=2', ...[0, 1].map((n) => `carrier eth${n} 1 ups=1 downs=1`)])
    stream.write(`[    1.000000] @vr ${line}\r\n`);
  const timedOut = (nic: string) => `virtio_net virtio1 ${nic}: TX timeout on queue: 0, sq: output.0, vq: 0x1`;
  for (const line of [timedOut('eth1'), 'BUG: of nobody in particular', timedOut('eth7')])
    stream.write(`[    1.000000] ${line}\r\n`);
  stream.end('[    1.000000] @vr ping eth1 epoch=1 seq=3 ms=1.5\r\n');
  await closed;
  // Trouble of a NIC that nobody knows is trouble all the same.
  expect(all.events).toMatchObject([
    { type: 'guest.ready' },
    { type: 'guest.trouble', what: 'oops' },
    { type: 'guest.trouble', line: timedOut('eth7') },
  ]);
  expect(second.events).toMatchObject([
    { type: 'guest.carrier', nic: 'eth1' },
    { type: 'guest.trouble', what: 'tx-timeout' },
    { type: 'guest.ping', nic: 'eth1', number: 3 },
  ]);
});

it('records a carrier at first sight, at each change, and what came and went between two looks', async () => {
  expect(await carriers('@vr carrier eth0 0 ups=1 downs=4', '@vr carrier eth0 1 ups=2 downs=4')).toEqual([false, true]);
  const up = '@vr carrier eth0 1 ups=1 downs=1';
  expect(await carriers(up, '@vr carrier eth0 1 ups=2 downs=2')).toEqual([true, false, true]);
  expect(await carriers(up, '@vr carrier eth0 0 ups=2 downs=3')).toEqual([true, false, true, false]);
  expect(await carriers(up, '@vr carrier eth1 0 ups=1 downs=2')).toEqual([true, false]);
});

it('sees a carrier for the first time again after a start of the guest, and of a device that was added anew', async () => {
  const later = '@vr carrier eth0 1 ups=3 downs=3';
  const first = '@vr carrier eth0 1 ups=1 downs=1';
  expect(await carriers(later, '@vr boot 6.1.0', later)).toEqual([true, true]);
  expect(await carriers(later, '@vr carrier eth0 0 ups=0 downs=0', first)).toEqual([true, false, true]);
});

it('tells the pings of one start of the guest from those of the next, which counts anew', async () => {
  const { events } = await record(
    '@vr boot 6.1.0',
    '@vr ping eth0 epoch=1 seq=8 ms=1',
    '@vr ping eth0 epoch=2 seq=0 ms=1',
    '@vr boot 6.1.0',
    '@vr ping eth0 epoch=1 seq=0 ms=1',
    '@vr ping eth0 epoch=2 seq=0 ms=1',
    '@vr boot 6.1.0',
    '@vr ping eth0 epoch=1 seq=3 ms=1',
  );
  const epochs = events.flatMap((event) => (event.type === 'guest.ping' ? [event.epoch] : []));
  expect(epochs).toEqual([1, 2, 3, 4, 5]);
});

it('records a bounded number of complaints', async () => {
  const { events, facts } = await record(...Array.from({ length: 1500 }, (_, i) => `WARNING: ${i}`));
  expect(events).toHaveLength(1000);
  expect(facts).toHaveLength(1500);
});
