import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  type Event,
  Recorder,
  type RunBegin,
  readTimeline,
  TimelineError,
  writeTimeline,
} from '../../src/timeline/index.js';

const dir = mkdtempSync(join(tmpdir(), 'timeline-'));
afterAll(() => rmSync(dir, { recursive: true }));
const file = join(dir, 't.jsonl');

const begin: RunBegin = {
  type: 'run.begin',
  schema: 1,
  variant: 'server.x[a=1]',
  case: 'server.x',
  role: 'server',
  machine: 'q35',
  profile: 'ovs-dpdk-3.1',
  driver: 'none',
  queuePairs: 1,
  memory: 64 * 2 ** 20,
  reconnectMs: 0,
  socketPath: '/run/s',
  qemu: { version: '7.2.22', argv: ['qemu-system-x86_64'] },
  tester: '1.0.0',
  startedAt: '2026-01-01T00:00:00.000Z',
};

test('what is written is read again', async () => {
  const recorder = new Recorder();
  recorder.record(begin);
  recorder.record({ type: 'qemu.stderr', line: 'a "quote", a \\ and a \u2028 line\nbreak' });
  recorder.record({ type: 'driver.features', offered: '0xffffffffffffffff', accepted: '0x0' });
  recorder.record({ type: 'run.end' });
  await writeTimeline(file, recorder.events);
  const stored = await readTimeline(file);
  expect(stored.events).toEqual(recorder.events);
  expect(stored.context).toMatchObject(begin);
});

const first = JSON.stringify({ seq: 0, t: 0, ...begin });
const line = (event: object) => JSON.stringify(event);

test.each<[string, string[], number, string]>([
  ['an empty file', [], 1, 'run.begin'],
  ['no JSON', [first, '{"seq":1,'], 2, 'JSON'],
  ['a line that is no object', [first, 'null'], 2, 'event number 1'],
  ['a list', [first, '[]'], 2, 'event number 1'],
  ['an event without a type', [first, line({ seq: 1, t: 1 })], 2, 'event number 1'],
  ['a gap', [first, line({ seq: 2, t: 1, type: 'run.end' })], 2, 'event number 1'],
  ['an empty line', [first, '', line({ seq: 1, t: 1, type: 'run.end' })], 2, 'JSON'],
  ['another first event', [line({ seq: 0, t: 0, type: 'run.end' })], 1, 'run.begin'],
  ['another schema', [line({ seq: 0, t: 0, ...begin, schema: 2 })], 1, 'schema 2'],
])('%s is refused with its line', async (_what, lines, at, why) => {
  writeFileSync(file, lines.map((text) => `${text}\n`).join(''));
  const error = await readTimeline(file).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TimelineError);
  expect(error).toMatchObject({ code: 'ERR_TIMELINE', file, line: at });
  expect((error as Error).message).toContain(`${file}:${at}: `);
  expect((error as Error).message).toContain(why);
});

test('a file cut in its last line is refused there', async () => {
  const events: Event[] = [
    { seq: 0, t: 0, ...begin },
    { seq: 1, t: 5, type: 'run.end' },
  ];
  await writeTimeline(file, events);
  writeFileSync(file, `${first}\n{"seq":1,"t":5,"ty`);
  await expect(readTimeline(file)).rejects.toMatchObject({ line: 2 });
});

test('a file that is not there is the file system’s error', async () => {
  await expect(readTimeline(join(dir, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(writeTimeline(join(dir, 'none', 'x'), [])).rejects.toMatchObject({ code: 'ENOENT' });
});
