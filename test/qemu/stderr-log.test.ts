import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { StderrLog } from '../../src/qemu/stderr-log.js';
import { Recorder } from '../../src/timeline/index.js';

async function read(...chunks: string[]) {
  const recorder = new Recorder();
  const log = new StderrLog(recorder);
  const stream = new PassThrough();
  log.read(stream);
  const ended = once(stream, 'end');
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  return {
    log,
    lines: recorder
      .timeline()
      .all('qemu.stderr')
      .map(({ line }) => line),
  };
}

describe('StderrLog', () => {
  it('joins chunks to lines, with or without an end', async () => {
    expect((await read('one\ntw', 'o\n\nlast')).lines).toEqual(['one', 'two', '', 'last']);
  });

  it('keeps characters that chunks split', async () => {
    const recorder = new Recorder();
    const stream = new PassThrough();
    new StderrLog(recorder).read(stream);
    for (const byte of Buffer.from('„ü"\n')) stream.write(Buffer.of(byte));
    stream.end();
    await once(stream, 'end');
    expect(recorder.events[0]).toMatchObject({ line: '„ü"' });
  });

  it('cuts a line that is too long', async () => {
    const { lines } = await read(...Array.from({ length: 100 }, () => 'x'.repeat(1000)), '\nnext\n');
    expect(lines).toEqual([`${'x'.repeat(2000)}…`, 'next']);
  });

  it('stops recording after many lines, but goes on looking', async () => {
    const { log, lines } = await read('y\n'.repeat(3000), "q: a.c:1: f: Assertion `0' failed.\n");
    expect(lines).toHaveLength(2001);
    expect(lines.at(-1)).toBe('[the tester records no further lines]');
    expect(log.assertion).toMatchObject({ function: 'f' });
    expect(log.tail.at(-1)).toContain('Assertion');
    expect(log.tail.length).toBeLessThanOrEqual(10);
  });
});
