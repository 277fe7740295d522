import { closeSync, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { closeFd, EventFd, memfd, poller, type Readiness, socketPair, type Watch } from '../../src/os/index.js';
import { nextBatch } from './helpers.js';

function pair(): [number, number] {
  const fds = socketPair();
  onTestFinished(() => fds.forEach(closeFd));
  return fds;
}

function watch(fd: number, interest: Parameters<typeof poller.watch>[1], callback: (r: Readiness) => void): Watch {
  const watch = poller.watch(fd, interest, callback);
  onTestFinished(() => watch.close());
  return watch;
}

/** The first readiness told. */
function ready(fd: number, interest: Parameters<typeof poller.watch>[1]): Promise<Readiness> {
  return new Promise((resolve) => {
    const once = watch(fd, interest, (readiness) => {
      once.close();
      resolve(readiness);
    });
  });
}

test('tells what a descriptor is ready for', async () => {
  const [a] = pair();
  expect(await ready(a, { readable: true, writable: true })).toEqual({
    readable: false,
    writable: true,
    hangup: false,
    error: false,
  });
});

test('tells a hang-up unasked', async () => {
  const [a, b] = socketPair();
  closeFd(b);
  expect(await ready(a, { writable: true })).toMatchObject({ hangup: true });
  closeFd(a);
});

test('a watch that is added while the poller waits takes effect', async () => {
  const idle = EventFd.create();
  onTestFinished(() => idle.close());
  watch(idle.fd, { readable: true }, () => {});
  await setImmediate();
  const [a] = pair();
  expect(await ready(a, { writable: true })).toMatchObject({ writable: true });
});

test('a suspended watch hears nothing, not even a hang-up, until it is modified', async () => {
  const [a, b] = socketPair();
  const heard: Readiness[] = [];
  const suspended = poller.watch(a, {}, (readiness) => {
    heard.push(readiness);
    suspended.close();
  });
  closeFd(b);
  await nextBatch();
  expect(heard).toEqual([]);
  suspended.modify({ readable: true });
  await expect.poll(() => heard).toMatchObject([{ readable: true, hangup: true }]);
  closeFd(a);
});

test('an event of a descriptor closed and reused within the batch is dropped', async () => {
  let [first, second] = [EventFd.create(), EventFd.create()];
  first.signal();
  second.signal();
  const calls: string[] = [];
  await new Promise<void>((resolve) => {
    // Whichever comes first closes the other, whose number a new eventfd without a signal takes at once.
    const replace = (other: EventFd): EventFd => {
      const number = other.fd;
      other.close();
      const reused = EventFd.create();
      expect(reused.fd).toBe(number);
      reused.onSignal(() => calls.push('reused'));
      resolve();
      return reused;
    };
    first.onSignal(() => {
      calls.push('live');
      second = replace(second);
    });
    second.onSignal(() => {
      calls.push('live');
      first = replace(first);
    });
  });
  await nextBatch();
  expect(calls).toEqual(['live']);
  first.close();
  second.close();
});

test('a throw goes to onError and stops nobody else', async () => {
  const [thrower, other] = [EventFd.create(), EventFd.create()];
  const errors: unknown[] = [];
  let calls = 0;
  thrower.onSignal(
    () => {
      throw new TypeError('bug');
    },
    (error) => errors.push(error),
  );
  other.onSignal(() => {
    calls++;
  });
  for (let round = 1; round <= 3; round++) {
    thrower.signal();
    other.signal();
    await expect.poll(() => [errors.length, calls]).toEqual([round, round]);
  }
  expect(errors[0]).toBeInstanceOf(TypeError);
  thrower.close();
  other.close();
});

test('a closed watch stays closed', () => {
  const [a] = pair();
  const closed = poller.watch(a, {}, () => {});
  closed.close();
  closed.close();
  expect(() => closed.modify({ readable: true })).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});

test('says what cannot be watched', () => {
  const [a] = pair();
  const file = openSync(import.meta.filename, 'r');
  watch(a, { readable: true }, () => {});
  const attempt = (fd: number) => () => poller.watch(fd, { readable: true }, () => {});
  expect(attempt(file)).toThrow(expect.objectContaining({ code: 'EPERM' }));
  expect(attempt(a)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  expect(attempt(-1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  closeSync(file);
});

test('says so when a descriptor is closed before its watch', () => {
  const fd = EventFd.create().fd;
  const early = poller.watch(fd, { readable: true }, () => {});
  closeFd(fd);
  const reused = EventFd.create();
  expect(reused.fd).toBe(fd);
  expect(() => reused.onSignal(() => {})).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  reused.close();
  expect(() => early.close()).toThrow(
    expect.objectContaining({ code: 'EBADF', hint: expect.stringContaining('before') }),
  );
});

test('memory files cannot be watched, and leave nothing behind', () => {
  const fd = memfd('x', 4096);
  expect(() => poller.watch(fd, { readable: true }, () => {})).toThrow(expect.objectContaining({ code: 'EPERM' }));
  closeFd(fd);
});
