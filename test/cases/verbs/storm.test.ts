import { describe, expect, it } from 'vitest';
import { StepFailed } from '../../../src/cases/index.js';
import { OsError } from '../../../src/os/index.js';
import { perform, stageOf, takes } from './stage.js';

/** A QEMU with room for some clients in its backlog, which serves the next when the one before it leaves. */
function stage({ room = 100, role = 'server', error = 'EAGAIN' } = {}) {
  let waiting = 0;
  let dialled = 0;
  let gone = 0;
  let served = 0;
  let connected = true;
  const session = {
    leave: () => {
      connected = waiting > 0;
      if (connected) waiting--;
      served++;
    },
  };
  const peer = {
    get session() {
      return connected ? session : undefined;
    },
    get waiting() {
      return waiting;
    },
    dialExtra: async () => {
      if (waiting >= room) throw new OsError(error, 'connect');
      dialled++;
      waiting++;
    },
    closeExtras: (which: string) => {
      if (which !== 'last') throw new Error(which);
      gone++;
      waiting--;
    },
  };
  const waits: string[] = [];
  const made = stageOf({
    peer,
    variant: { role },
    handshakeDone: () => connected,
    until: async (what: string, test: () => boolean) => {
      waits.push(what);
      if (!test()) throw new Error(`${what} would not come`);
    },
  });
  return {
    waits,
    counts: () => ({ dialled, gone, served, waiting, connected }),
    disconnect: () => {
      connected = false;
    },
    run: (params: unknown) => perform('storm', made, params),
  };
}

describe('storm', () => {
  it('has all served, one after the other, and the last one stays', async () => {
    const { run, counts, waits } = stage();
    await run({ clients: 8 });
    expect(counts()).toEqual({ dialled: 8, gone: 0, served: 8, waiting: 0, connected: true });
    expect(waits).toHaveLength(8);
  });

  it('has those come again that found no room', async () => {
    const { run, counts } = stage({ room: 3 });
    await run({ clients: 10 });
    expect(counts()).toEqual({ dialled: 10, gone: 0, served: 10, waiting: 0, connected: true });
  });

  it.each([100, 3])('half: every other one is gone when its turn comes (room for %d)', async (room) => {
    const { run, counts } = stage({ room });
    await run({ clients: 9, gone: 'half' });
    const { dialled, gone, served, connected } = counts();
    expect(dialled).toBe(9);
    expect(gone).toBeGreaterThanOrEqual(4);
    expect(gone).toBeLessThanOrEqual(5);
    expect(served).toBe(dialled - gone);
    expect(connected).toBe(true);
  });

  it('passes on what is not a lack of room', () =>
    expect(stage({ room: 0, error: 'ENOENT' }).run({ clients: 2 })).rejects.toMatchObject({ code: 'ENOENT' }));

  it('needs a listening QEMU, and a peer that is connected', async () => {
    await expect(stage({ role: 'client' }).run({ clients: 2 })).rejects.toThrow(StepFailed);
    const alone = stage();
    alone.disconnect();
    await expect(alone.run({ clients: 2 })).rejects.toThrow(StepFailed);
    expect(alone.counts().dialled).toBe(0);
  });

  it('takes 2 to 100 clients', () => {
    expect([2, 100].every((clients) => takes('storm', { clients }))).toBe(true);
    expect([1, 101, 2.5].some((clients) => takes('storm', { clients }))).toBe(false);
    expect(takes('storm', { clients: 2, gone: 'all' })).toBe(false);
  });
});
