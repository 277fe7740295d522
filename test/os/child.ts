/** What may kill a process, each run in one of its own: `node child.js SCENARIO`. It prints what it saw as JSON. */
import { ftruncateSync, openSync } from 'node:fs';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { closeFd, EventFd, FdSocket, MappedRegion, memfd, OsError, poller, socketPair } from '../../src/os/index.js';

function codeOf(action: () => unknown): string {
  try {
    action();
    return 'done';
  } catch (error) {
    return error instanceof OsError ? error.code : String(error);
  }
}

const scenarios: Record<string, () => Promise<unknown> | unknown> = {
  /** process.exit with the asynchronous wait under way. */
  async exit() {
    EventFd.create().onSignal(() => {});
    await delay(50);
    process.exit(7);
  },

  /** process.exit from a callback of the poller. */
  'exit-in-callback'() {
    const event = EventFd.create();
    event.onSignal(() => process.exit(8));
    event.signal();
  },

  /** An uncaught exception elsewhere with the wait under way. */
  async uncaught() {
    EventFd.create().onSignal(() => {});
    setTimeout(() => {
      throw new Error('elsewhere');
    }, 50);
  },

  /** A throw in a callback that nobody handles ends the process as any uncaught exception. */
  throw() {
    const event = EventFd.create();
    event.onSignal(() => {
      throw new Error('in the callback');
    });
    event.signal();
  },

  /** With a handler of uncaught exceptions the poller goes on, for the thrower too. */
  async 'throw-handled'() {
    const seen: string[] = [];
    process.on('uncaughtException', (error) => seen.push(error.message));
    const event = EventFd.create();
    let calls = 0;
    const twice = new Promise<void>((resolve) => {
      event.onSignal(() => {
        if (++calls === 2) resolve();
        else setTimeout(() => event.signal(), 10);
        throw new Error(`call ${calls}`);
      });
    });
    event.signal();
    await twice;
    event.close();
    await setImmediate();
    return seen;
  },

  /** Nothing watched any more: the event loop ends by itself, and can start over. */
  async 'loop-ends'() {
    const event = EventFd.create();
    for (let round = 0; round < 100; round++) {
      event.signal();
      await new Promise<void>((resolve) => {
        const watch = poller.watch(event.fd, { readable: true }, () => {
          watch.close();
          event.drain();
          resolve();
        });
      });
    }
    event.onSignal(() => {});
    await delay(20);
    event.close();
    return 'ended';
  },

  /** Nobody but the poller holds the watch. Runs with gc exposed. */
  async garbage() {
    const event = EventFd.create();
    const signalled = new Promise((resolve) => {
      poller.watch(event.fd, { readable: true }, resolve);
    });
    for (let round = 0; round < 5; round++) {
      globalThis.gc?.();
      await delay(1);
    }
    event.signal();
    await signalled;
    process.exit(typeof globalThis.gc === 'function' ? 0 : 1);
  },

  /** The front-end shrinks the memory that it shared. */
  'shrunk-memory'() {
    const fd = memfd('guest', 1 << 20);
    const region = MappedRegion.map(fd, { size: 1 << 20 });
    region.write(0, Buffer.alloc(1 << 20, 1));
    ftruncateSync(fd, 0);
    const codes = [
      codeOf(() => region.read(0, 1)),
      codeOf(() => region.write(0, Buffer.from('x'))),
      codeOf(() => region.readU16(4096)),
      codeOf(() => region.unmap()),
      codeOf(() => region.read(0, 1)),
    ];
    return codes;
  },

  /** Writes to where nobody reads raise no SIGPIPE. */
  async sigpipe() {
    const [a, b] = socketPair();
    const socket = FdSocket.fromFd(a);
    closeFd(b);
    const told = new Promise<unknown>((resolve) => socket.onError(resolve));
    socket.send(Buffer.from('x'));
    const error = await told;
    socket.close();
    const [c, d] = socketPair();
    closeFd(d);
    const event = EventFd.adopt(c);
    return [error instanceof OsError && error.code, event.signal()];
  },

  /** A message with more descriptors than the process may have. Runs with a low limit. */
  async 'descriptor-limit'() {
    const [a, b] = socketPair();
    const [from, to] = [FdSocket.fromFd(a), FdSocket.fromFd(b)];
    from.send(Buffer.from('x'), [0, 0, 0, 0, 0, 0]);
    const fillers: number[] = [];
    while (codeOf(() => fillers.push(openSync('/dev/null', 'r'))) === 'done');
    for (const fd of fillers.splice(0, 3)) closeFd(fd);
    const code = codeOf(() => to.receive(1));
    // The three that did fit were closed again.
    const free = [0, 1, 2, 3].map(() => codeOf(() => memfd('x', 1)));
    return [code, ...free];
  },
};

const scenario = scenarios[process.argv[2] ?? ''];
if (!scenario) throw new Error(`no such scenario: ${process.argv[2]}`);
const result = await scenario();
if (result !== undefined) console.log(JSON.stringify(result));
