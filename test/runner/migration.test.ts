import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type MigrationChoice, QemuGone } from '../../src/cases/index.js';
import { FdSocket } from '../../src/os/index.js';
import type { Peer, WrittenPages } from '../../src/peer/index.js';
import { QmpError } from '../../src/qemu/index.js';
import { Migration } from '../../src/runner/migration.js';
import { type DriverReady, type EventBody, type EventType, type Json, Recorder } from '../../src/timeline/index.js';
import { recorded } from '../timeline/recorded.js';
import { head, page, type SavedRing, section, tail } from '../twin/program/migration-stream.js';

const MEMORY = 64 << 20;
const PAGE = 4096;
const AT = 0x5000;

const stream = (byte: number, rings?: SavedRing[]): Buffer =>
  Buffer.concat([
    head(BigInt(MEMORY)),
    section([page(AT, Buffer.alloc(PAGE, byte), true)]),
    section([], true),
    tail(rings),
  ]);

/** A QEMU that a test plays; `answers`: what a command answers in place of nothing, or throws. */
async function migration(choice: MigrationChoice = {}, answers: Record<string, () => Json> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'migration-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const recorder = new Recorder();
  const asked: { execute: string; args?: Json | undefined }[] = [];
  const filled: unknown[] = [];
  let written: WrittenPages | undefined;
  const made = await Migration.begin({
    number: 2,
    choice,
    recorder,
    peer: { noteWrites: (pages: WrittenPages | undefined) => (written = pages) } as unknown as Peer,
    dir,
    memory: MEMORY,
    qmp: async (execute, args) => {
      asked.push({ execute, args });
      return answers[execute]?.() ?? {};
    },
    fill: async (...where) => void filled.push(where),
  });
  onTestFinished(() => made.dispose());
  const uri = asked.find(({ execute }) => execute === 'migrate')!.args as { uri: string };
  return {
    made,
    recorder,
    asked,
    filled,
    written: () => written,
    dial: () => FdSocket.dial(uri.uri.replace(/^unix:/, '')),
    tell: (status: string) => recorder.record({ type: 'qmp.event', event: 'MIGRATION', data: { status } }),
    recorded: (type: EventType) => recorded(recorder, type),
  };
}

const statuses = (recorder: Recorder): string[] =>
  recorder
    .timeline()
    .all('migration.status')
    .map(({ status }) => status);

describe('Migration', () => {
  it('has QEMU tell of its states, and migrate to a socket of its own', async () => {
    const { asked, filled, recorder, written } = await migration();
    expect(asked.map(({ execute }) => execute)).toEqual([
      'migrate-set-capabilities',
      'migrate-set-parameters',
      'migrate',
    ]);
    expect(asked[0]!.args).toEqual({
      capabilities: [
        { capability: 'events', state: true },
        { capability: 'pause-before-switchover', state: false },
      ],
    });
    expect(filled).toEqual([]);
    expect(recorder.events).toMatchObject([{ type: 'migration.begin', migration: 2 }]);
    expect(written()).toBeDefined();
  });

  it('fills the end of memory where it is to be held, and pauses where it is to', async () => {
    const { asked, filled, recorder } = await migration({ hold: 'copied', pause: 'switch-over' });
    const [[addr, length, byte]] = filled as [[bigint, number, number]];
    expect(Number(addr) + length).toBe(MEMORY);
    expect(length % PAGE).toBe(0);
    expect(byte).not.toBe(0);
    expect(asked[0]!.args).toMatchObject({
      capabilities: expect.arrayContaining([{ capability: 'pause-before-switchover', state: true }]),
    });
    expect(recorder.latest('migration.begin')).toMatchObject({ hold: 'copied', pause: true });
  });

  it('compares what came with what the peer wrote, once the stream is closed', async () => {
    const { recorder, written, dial, tell, recorded } = await migration();
    written()!.add(BigInt(AT), Buffer.from([1, 1]));
    written()!.add(0x9000n, Buffer.from([7]));
    const source = await dial();
    source.send(stream(1));
    tell('active');
    tell('completed');
    await recorded('migration.status');
    expect(recorder.latest('migration.end')).toBeUndefined();
    source.close();
    await recorded('migration.end');
    expect(statuses(recorder)).toEqual(['active', 'completed']);
    expect(recorder.events.slice(-3)).toMatchObject([
      { type: 'migration.stream', by: 'source', complete: true },
      { type: 'migration.written', migration: 2, pages: 2, again: 0, stale: ['0x9000'] },
      { type: 'migration.end', migration: 2, status: 'completed' },
    ]);
    expect(written()).toBeUndefined();
  });

  it('tells where the stream has the rings of a driver that runs', async () => {
    const ring: DriverReady['rings'][number] = {
      index: 0,
      size: 256,
      desc: '0x10000',
      avail: '0x11000',
      used: '0x5000',
    };
    const told = async (...before: EventBody[]) => {
      const { recorder, dial, tell, recorded } = await migration();
      for (const event of before) recorder.record(event);
      const source = await dial();
      // The used ring is at the page that comes with this byte.
      source.send(stream(3, [{ size: 256, desc: 0x10000n, next: 9 }]));
      tell('completed');
      source.close();
      await recorded('migration.end');
      return recorder.latest('migration.rings');
    };
    const ready: DriverReady = { type: 'driver.ready', pairs: 1, rings: [ring] };
    expect(await told(ready)).toMatchObject({ migration: 2, rings: [{ index: 0, next: 9, used: 0x303 }] });
    expect((await told({ ...ready, layout: 'packed' }))?.rings).toEqual([{ index: 0, next: 9 }]);
    expect(await told()).toBeUndefined();
    expect(await told(ready, { type: 'driver.reset' })).toBeUndefined();
    expect(await told({ ...ready, rings: [{ ...ring, desc: '0x20000' as const }] })).toBeUndefined();
  });

  it('gives QEMU’s words on one that failed, and compares nothing', async () => {
    const { recorder, tell, recorded } = await migration({}, { 'query-migrate': () => ({ 'error-desc': 'no way' }) });
    tell('failed');
    await recorded('migration.end');
    expect(recorder.latest('migration.end')).toMatchObject({ status: 'failed', reason: 'no way' });
    expect(recorder.latest('migration.written')).toBeUndefined();
  });

  it('waits until QEMU has closed the stream of one that was cancelled, if it had begun', async () => {
    const begun = await migration({ hold: 'copied' });
    const source = await begun.dial();
    source.send(head(BigInt(MEMORY)));
    source.send(section([page(MEMORY - PAGE, Buffer.alloc(PAGE, 1), true)]));
    await begun.recorded('migration.hold');
    begun.tell('cancelled');
    await begun.recorded('migration.status');
    source.close();
    begun.made.release();
    await begun.recorded('migration.end');
    expect(begun.recorder.events.slice(-2)).toMatchObject([
      { type: 'migration.stream', by: 'source' },
      { type: 'migration.end', status: 'cancelled' },
    ]);
    const never = await migration();
    never.tell('cancelled');
    await never.recorded('migration.end');
    expect(never.recorder.latest('migration.stream')).toBeUndefined();
  });

  it('is over where QEMU refuses the command, with its words', async () => {
    const { recorder, written, tell } = await migration(
      {},
      {
        migrate: () => {
          throw new QmpError('GenericError', 'there is a blocker');
        },
      },
    );
    expect(recorder.events.slice(-1)).toMatchObject([
      { type: 'migration.end', status: 'refused', reason: 'there is a blocker' },
    ]);
    expect(written()).toBeUndefined();
    tell('failed');
    await Promise.resolve();
    expect(statuses(recorder)).toEqual([]);
  });

  it('passes on what is no refusal', async () => {
    const gone = () => {
      throw new QemuGone();
    };
    await expect(migration({}, { migrate: gone })).rejects.toThrow(QemuGone);
  });

  it('lives through a QEMU that goes while it is asked', async () => {
    const { recorder, tell, asked } = await migration(
      {},
      {
        'query-migrate': () => {
          throw new QemuGone();
        },
      },
    );
    tell('failed');
    await expect.poll(() => asked.at(-1)!.execute).toBe('query-migrate');
    expect(statuses(recorder)).toEqual(['failed']);
    expect(recorder.latest('migration.end')).toBeUndefined();
  });

  it('hears nothing any more when it is disposed of', async () => {
    const { made, recorder, tell, dial } = await migration();
    made.dispose();
    tell('completed');
    await Promise.resolve();
    expect(statuses(recorder)).toEqual([]);
    await expect(dial()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

it.each(['migrate-set-capabilities', 'migrate'])(
  'leaves nothing that listens when QEMU is gone at %s',
  async (command) => {
    const dir = await mkdtemp(join(tmpdir(), 'migration-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const begun = Migration.begin({
      number: 1,
      choice: {},
      recorder: new Recorder(),
      peer: { noteWrites: () => {} } as unknown as Peer,
      dir,
      memory: MEMORY,
      qmp: async (execute) => {
        if (execute === command) throw new QemuGone();
        return {};
      },
      fill: async () => {},
    });
    await expect(begun).rejects.toThrow(QemuGone);
    await expect(FdSocket.dial(join(dir, 'migration-1.sock'))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  },
);
