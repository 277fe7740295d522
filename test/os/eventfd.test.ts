import { openSync, readdirSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { closeFd, dupFd, EventFd, memfd, socketPair } from '../../src/os/index.js';
import { nextBatch, ownFds } from './helpers.js';

function created(): EventFd {
  const event = EventFd.create();
  onTestFinished(() => event.close());
  return event;
}

/** Descriptors registered with any epoll of this process. */
function inEpoll(): number {
  const files = readdirSync('/proc/self/fdinfo').map((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
    } catch {
      return ''; // the directory's own
    }
  });
  return files.join('').match(/^tfd:/gm)?.length ?? 0;
}

test('signals add up until they are drained', () => {
  const event = created();
  expect(event.drain()).toBe(0n);
  expect([event.signal(), event.signal(), event.signal()]).toEqual([true, true, true]);
  expect(event.drain()).toBe(3n);
  expect(event.drain()).toBe(0n);
});

test('onSignal tells the count, through a copy of the descriptor too', async () => {
  const event = created();
  const other = EventFd.adopt(dupFd(event.fd));
  const counts: bigint[] = [];
  event.onSignal((count) => counts.push(count));
  other.signal();
  other.signal();
  await expect.poll(() => counts).toEqual([2n]);
  other.signal();
  await expect.poll(() => counts).toEqual([2n, 1n]);
  other.close();
});

test('closing ends the callbacks though the front-end keeps a copy and goes on signalling', async () => {
  await nextBatch();
  const before = inEpoll();
  const event = EventFd.create();
  const frontEnd = EventFd.adopt(dupFd(event.fd));
  let calls = 0;
  event.onSignal(() => {
    calls++;
  });
  frontEnd.signal();
  await expect.poll(() => calls).toBe(1);
  event.close();
  event.close();
  expect(event.signal()).toBe(false);
  frontEnd.signal();
  await nextBatch();
  expect(calls).toBe(1);
  expect(inEpoll()).toBe(before); // or the events would go on, unseen, with the poller running hot
  frontEnd.close();
});

test('a socket in place of an eventfd works until it ends, and that is told once', async () => {
  const [ours, theirs] = socketPair();
  const event = EventFd.adopt(ours);
  const counts: bigint[] = [];
  const errors: unknown[] = [];
  event.onSignal(
    (count) => counts.push(count),
    (error) => errors.push(error),
  );
  const peer = EventFd.adopt(theirs);
  expect(peer.signal()).toBe(true);
  await expect.poll(() => counts).toEqual([1n]);
  peer.close();
  await expect.poll(() => errors).toEqual([expect.objectContaining({ code: 'ENODATA' })]);
  expect(event.signal()).toBe(false);
  event.close();
});

test('neither a file nor a write-only or read-only descriptor blocks or crashes', async () => {
  const before = await ownFds();
  const file = EventFd.adopt(memfd('file', 4096));
  expect(() => file.onSignal(() => {})).toThrow(expect.objectContaining({ code: 'EPERM' }));
  file.close();
  const writeOnly = EventFd.adopt(openSync('/dev/null', 'w'));
  expect(() => writeOnly.drain()).toThrow(expect.objectContaining({ code: 'EBADF' }));
  writeOnly.close();
  const readOnly = EventFd.adopt(openSync('/dev/null', 'r'));
  expect(readOnly.signal()).toBe(false);
  readOnly.close();
  const invalid = EventFd.adopt(1_000_000);
  expect(invalid.signal()).toBe(false);
  expect(() => closeFd(1_000_000)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  expect(await ownFds()).toBe(before);
});
