import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MigrationSink, PAGE_SIZE } from '../../src/migration/index.js';
import { FdSocket } from '../../src/os/index.js';
import { type EventType, Recorder } from '../../src/timeline/index.js';
import { recorded } from '../timeline/recorded.js';
import { head, page, section, tail } from '../twin/program/migration-stream.js';

const content = (byte: number): Buffer => Buffer.alloc(PAGE_SIZE, byte);
const memory = (offsets: readonly number[]): Buffer =>
  section(offsets.map((offset, i) => page(offset, content(offset / PAGE_SIZE + 1), i === 0)));
const WHOLE = [head(0x4000n), memory([0, 0x1000, 0x2000]), section([], true), tail()];

/** A sink, and a source that has dialled it. */
async function sink(options: { holdAt?: number } = {}) {
  const path = join(await mkdtemp(join(tmpdir(), 'sink-')), 's');
  const recorder = new Recorder();
  const made = await MigrationSink.listen({ path, migration: 3, recorder, block: 'mem', ...options });
  const source = await FdSocket.dial(path);
  onTestFinished(async () => {
    source.close();
    made.close();
    await rm(join(path, '..'), { recursive: true, force: true });
  });
  return { path, recorder, sink: made, source, recorded: (type: EventType) => recorded(recorder, type) };
}

describe('MigrationSink', () => {
  it('takes a whole stream and keeps the memory', async () => {
    const { sink: made, source, recorder } = await sink();
    expect(made.complete).toBe(false);
    for (const bytes of WHOLE) source.send(bytes);
    source.close();
    await made.ended;
    expect(made.complete).toBe(true);
    expect(made.open).toBe(false);
    expect([0, 0x1000, 0x2000, 0x3000].map((offset) => made.received.times(offset))).toEqual([1, 1, 1, 0]);
    const bytes = Buffer.concat(WHOLE).length;
    expect(recorder.events).toMatchObject([
      { type: 'migration.stream', migration: 3, by: 'source', bytes, pages: 3, repeated: 0, complete: true },
    ]);
  });

  it('tells of a stream that breaks off', async () => {
    const { sink: made, source, recorder } = await sink();
    source.send(WHOLE[0]!);
    source.send(WHOLE[1]!.subarray(0, 100));
    source.close();
    await made.ended;
    expect(recorder.latest('migration.stream')).toMatchObject({ by: 'source', complete: false });
  });

  it('holds once memory has come, and reads on when it is released', async () => {
    const { sink: made, source, recorder, recorded } = await sink({ holdAt: 0x2000 });
    for (const bytes of WHOLE.slice(0, 2)) source.send(bytes);
    await recorded('migration.hold');
    expect(made.open).toBe(true);
    for (const bytes of WHOLE.slice(2)) source.send(bytes);
    source.close();
    expect(made.complete).toBe(false);
    made.release();
    made.release();
    await made.ended;
    expect(recorder.events.map(({ type }) => type)).toEqual([
      'migration.hold',
      'migration.release',
      'migration.stream',
    ]);
    expect(made.complete).toBe(true);
  });

  it('holds nothing where it was released before', async () => {
    const { sink: made, source, recorder } = await sink({ holdAt: 0x2000 });
    made.release();
    for (const bytes of WHOLE) source.send(bytes);
    source.close();
    await made.ended;
    expect(recorder.events.map(({ type }) => type)).toEqual(['migration.stream']);
  });

  it('goes away: the source finds its stream closed, and nobody gets in any more', async () => {
    const { path, sink: made, source, recorder, recorded } = await sink({ holdAt: 0 });
    for (const bytes of WHOLE.slice(0, 2)) source.send(bytes);
    await recorded('migration.hold');
    made.close();
    await made.ended;
    made.close();
    expect(recorder.timeline().all('migration.stream')).toMatchObject([{ by: 'destination', complete: false }]);
    expect(existsSync(path)).toBe(true);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    made.release();
    expect(recorder.latest('migration.stream')).toMatchObject({ by: 'destination' });
  });

  it('takes one stream only', async () => {
    const { path, sink: made, source, recorder } = await sink();
    source.send(WHOLE[0]!);
    const second = await FdSocket.dial(path);
    await new Promise<void>((resolve) => second.onReadable(resolve));
    expect(second.receive(1)).toBe('eof');
    second.close();
    for (const bytes of WHOLE.slice(1)) source.send(bytes);
    source.close();
    await made.ended;
    expect(recorder.timeline().all('migration.stream')).toMatchObject([{ complete: true }]);
  });

  it('says so where it cannot read the stream', async () => {
    const { sink: made, source, recorder } = await sink();
    source.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await made.ended;
    expect(recorder.events).toMatchObject([
      { type: 'tester.trouble', what: expect.stringContaining('migration stream') },
      { type: 'migration.stream', by: 'destination' },
    ]);
  });
});
