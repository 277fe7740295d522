import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type Event,
  Recorder,
  type RunBegin,
  readTimeline,
  TimelineError,
  TimelineWriter,
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

describe('TimelineWriter', () => {
  let files = 0;
  const fresh = () => join(dir, `w${files++}.jsonl`);
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  test('has written in the next turn what one turn appended, in one go', async () => {
    const recorder = new Recorder();
    const writer = new TimelineWriter(fresh());
    recorder.listen((event) => writer.append(event));
    recorder.record(begin);
    recorder.record({ type: 'qemu.stderr', line: 'a "quote" and a \u2028 line\nbreak, and ü' });
    expect(readFileSync(writer.file, 'utf8')).toBe('');
    await turn();
    expect((await readTimeline(writer.file)).events).toEqual(recorder.events);
    recorder.record({ type: 'run.end' });
    await turn();
    expect((await readTimeline(writer.file)).events).toEqual(recorder.events);
    expect(recorder.events).toHaveLength(3);
    writer.close();
  });

  test('writes what waits when it is flushed or closed, once, and nothing later', async () => {
    const recorder = new Recorder();
    const writer = new TimelineWriter(fresh());
    writer.append(recorder.record(begin));
    writer.flush();
    expect((await readTimeline(writer.file)).events).toHaveLength(1);
    writer.append(recorder.record({ type: 'run.end' }));
    writer.close();
    writer.close();
    writer.append(recorder.record({ type: 'run.end' }));
    await turn();
    expect((await readTimeline(writer.file)).events).toEqual(recorder.events.slice(0, 2));
  });

  test('tells how much of the file is whole lines, which can be read while more is on its way', async () => {
    const recorder = new Recorder();
    const writer = new TimelineWriter(fresh());
    writer.append(recorder.record(begin));
    expect(writer.size).toBe(0);
    writer.append(recorder.record({ type: 'qemu.stderr', line: 'ü' }));
    writer.flush();
    const { size } = writer;
    expect(size).toBe(readFileSync(writer.file).length);
    // As a reader may see it: the kernel makes a write visible page by page.
    appendFileSync(writer.file, '{"seq":2,"t":5,"ty');
    await expect(readTimeline(writer.file)).rejects.toMatchObject({ line: 3 });
    expect((await readTimeline(writer.file, size)).events).toEqual(recorder.events);
    writer.close();
  });

  test('overwrites nothing, and tells what the file system refuses', () => {
    writeFileSync(file, 'of value');
    expect(() => new TimelineWriter(file)).toThrow(/EEXIST/);
    expect(() => new TimelineWriter(join(dir, 'none', 'x'))).toThrow(/ENOENT/);
    expect(readFileSync(file, 'utf8')).toBe('of value');
  });

  test('says once that the file is gone, and goes on without', async () => {
    const failures: unknown[] = [];
    const recorder = new Recorder();
    const writer = new TimelineWriter(fresh(), (error) => {
      failures.push(error.code);
      // As a tester does, who wants that recorded as well.
      writer.append(recorder.record({ type: 'tester.trouble', what: error.message }));
    });
    writer.append(recorder.record(begin));
    await turn();
    expect(writer.failure).toBeUndefined();
    rmSync(writer.file);
    for (let i = 0; i < 3; i++) {
      writer.append(recorder.record({ type: 'driver.kick', ring: i }));
      await turn();
    }
    writer.close();
    expect(failures).toEqual(['ENOENT']);
    expect(writer.failure).toMatchObject({ code: 'ENOENT' });
    expect(existsSync(writer.file)).toBe(false);
  });

  test('says once that there is no room; what is in the file can be read, up to a whole line', async () => {
    const target = fresh();
    // A limit that a process of its own may have without root: then the kernel refuses as a full disk does, in the middle of a line.
    const { code, stdout } = await inProcess(`
      import { execFileSync } from 'node:child_process';
      const failures = [];
      const recorder = new Recorder();
      const writer = new TimelineWriter(${JSON.stringify(target)}, ({ code }) => failures.push(code));
      recorder.listen((event) => writer.append(event));
      recorder.record(${JSON.stringify(begin)});
      execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=5000']);
      for (let i = 0; i < 1000; i++) {
        recorder.record({ type: 'driver.kick', ring: i });
        if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      writer.close();
      console.log(JSON.stringify({ failures, failure: writer.failure.code, size: writer.size }));`);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ failures: ['EFBIG'], failure: 'EFBIG', size: readFileSync(target).length });
    const { events } = await readTimeline(target);
    expect(events.length).toBeGreaterThan(50);
    expect(events.length).toBeLessThan(200);
  });

  test('a tester that is killed loses nothing of an earlier turn', async () => {
    const target = fresh();
    const { code, signal } = await inProcess(`
      const recorder = new Recorder();
      const writer = new TimelineWriter(${JSON.stringify(target)});
      recorder.listen((event) => writer.append(event));
      recorder.record(${JSON.stringify(begin)});
      for (let i = 0; i < 1000; i++) recorder.record({ type: 'driver.kick', ring: i });
      setImmediate(() => process.kill(process.pid, 'SIGKILL'));`);
    expect([code, signal]).toEqual([null, 'SIGKILL']);
    const { events } = await readTimeline(target);
    expect(events).toHaveLength(1001);
    expect(events.at(-1)).toMatchObject({ seq: 1000, ring: 999 });
  });

  /** Runs a script with Recorder and TimelineWriter as a process of its own. */
  async function inProcess(contents: string) {
    const script = join(dir, `s${files++}.mjs`);
    const path = new URL('../../src/timeline/index.ts', import.meta.url).pathname;
    await build({
      stdin: {
        contents: `import { Recorder, TimelineWriter } from ${JSON.stringify(path)};\n${contents}`,
        resolveDir: dir,
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: script,
    });
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { code, signal, stdout };
  }
});
