import { ftruncateSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { closeFd, MappedRegion, memfd } from '../../src/os/index.js';
import { bit, VHOST_F_LOG_ALL } from '../../src/wire/index.js';
import { HIGH } from './guest.js';
import { type Rig, rig, seen } from './rig.js';

const PAGE = 4096n;
/** Enough for one bit a page up to the end of the high region. */
const LOG_BYTES = Number((HIGH + 0x40000n) / PAGE / 8n);

/** A dirty log at an offset of its file; `pages` reads the numbers of the pages that are marked. */
function log(bytes = LOG_BYTES, offset = 4096) {
  const fd = memfd('log', offset + bytes);
  const memory = MappedRegion.map(fd, { size: offset + bytes });
  onTestFinished(() => {
    memory.unmap();
    closeFd(fd);
  });
  const pages = () => {
    const found: bigint[] = [];
    memory.read(offset, bytes).forEach((byte, i) => {
      for (let b = 0; b < 8; b++) if (byte & (1 << b)) found.push(BigInt(8 * i + b));
    });
    return found;
  };
  return { fd, pages, payload: { kind: 'log', size: BigInt(bytes), offset: BigInt(offset) } as const };
}

async function receive(made: Rig): Promise<bigint[]> {
  const [rx] = made.frontEnd.startRings();
  await made.frontEnd.askU64('GET_FEATURES');
  made.traffic.queueRx(0, 0, 2);
  rx.post(2);
  rx.notify();
  await seen(made.recorder, 'packets.sent');
  return [rx.bufferAddr(0) / PAGE, rx.usedGuestAddr / PAGE];
}

describe('while VHOST_F_LOG_ALL is acked', () => {
  test('the pages of used ring and buffers are marked, and no others', async () => {
    const made = rig();
    const { fd, pages, payload } = log();
    await made.frontEnd.handshake({ extra: bit(VHOST_F_LOG_ALL) });
    expect(await made.frontEnd.askU64('SET_LOG_BASE', payload, { fds: [fd] })).toBe(0n);
    const written = await receive(made);
    expect(pages()).toEqual([...new Set(written)].sort((a, b) => Number(a - b)));
  });

  test('pages beyond the log are left out', async () => {
    const made = rig();
    const { fd, pages, payload } = log(8);
    await made.frontEnd.handshake({ extra: bit(VHOST_F_LOG_ALL) });
    await made.frontEnd.askU64('SET_LOG_BASE', payload, { fds: [fd] });
    const [, used] = await receive(made);
    expect(pages()).toEqual([used]);
    expect(made.session.open).toBe(true);
  });

  test('a log beyond its file is refused', async () => {
    const { frontEnd, closed } = rig();
    const { fd, payload } = log();
    const size = 1n << 40n;
    expect(await frontEnd.askU64('SET_LOG_BASE', { ...payload, size }, { fds: [fd], needReply: true })).toBe(1n);
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('ENXIO') });
  });

  test('a log that shrinks ends the session', async () => {
    const made = rig();
    const { fd, payload } = log();
    await made.frontEnd.handshake({ extra: bit(VHOST_F_LOG_ALL) });
    await made.frontEnd.askU64('SET_LOG_BASE', payload, { fds: [fd] });
    const [, tx] = made.frontEnd.startRings();
    await made.frontEnd.askU64('GET_FEATURES');
    ftruncateSync(fd, 0);
    tx.transmit([0]);
    tx.kick.signal();
    expect(await made.closed()).toMatchObject({ how: 'error', error: expect.stringContaining('the memory is gone') });
    expect(made.recorder.latest('tester.trouble')).toBeUndefined();
  });
});

test('without it nothing is marked, and clearing it stops the marks', async () => {
  const made = rig();
  const { fd, pages, payload } = log();
  const features = await made.frontEnd.handshake();
  await made.frontEnd.askU64('SET_LOG_BASE', payload, { fds: [fd] });
  await receive(made);
  expect(pages()).toEqual([]);
  made.frontEnd.send('SET_FEATURES', { kind: 'u64', value: features | bit(VHOST_F_LOG_ALL) });
  made.frontEnd.send('SET_FEATURES', { kind: 'u64', value: features });
  const [, tx] = made.frontEnd.startRings({}, 1);
  tx.transmit([0]);
  tx.notify();
  await seen(made.recorder, 'packets.seen');
  expect(pages()).toEqual([]);
});

test('TX marks its used ring', async () => {
  const made = rig();
  const { fd, pages, payload } = log();
  await made.frontEnd.handshake({ extra: bit(VHOST_F_LOG_ALL) });
  await made.frontEnd.askU64('SET_LOG_BASE', payload, { fds: [fd] });
  const [, tx] = made.frontEnd.startRings();
  tx.transmit([0]);
  tx.notify();
  await seen(made.recorder, 'packets.seen');
  expect(pages()).toEqual([tx.usedGuestAddr / PAGE]);
});
