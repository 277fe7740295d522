import { expect, test } from 'vitest';
import { QmpError } from '../../src/qemu/index.js';
import { type Json, Recorder } from '../../src/timeline/index.js';
import { ChardevWatch, type Qmp } from '../../src/watch/index.js';

/** A QMP that answers from a script, and keeps what it was asked. */
class ScriptedQmp implements Qmp {
  readonly asked: string[] = [];
  constructor(private readonly answers: Record<string, () => Json>) {}
  async execute(command: string, args?: Json, options?: { silent?: boolean }): Promise<Json> {
    expect(options).toEqual({ silent: true });
    this.asked.push(args === undefined ? command : `${command} ${JSON.stringify(args)}`);
    return this.answers[command]!();
  }
}

function refuse(): never {
  throw new QmpError('GenericError', "Property 'chardev-socket.connected' not found");
}

const named = (filename: string): Json => [
  { label: 'compat_monitor0', filename: 'disconnected:unix' },
  { label: 'c0', filename },
];

test('the property and the file name are asked, and each change of either is recorded once', async () => {
  const recorder = new Recorder();
  const states = [true, true, false, false, true];
  const names = ['unix:/s', 'unix:/s', 'unix:/s', 'disconnected:unix:/s', 'unix:/s'];
  const qmp = new ScriptedQmp({ 'qom-get': () => states.shift()!, 'query-chardev': () => named(names.shift()!) });
  const watch = new ChardevWatch(qmp, recorder);
  const read: boolean[] = [];
  for (let i = 0; i < 5; i++) read.push(await watch.read());
  expect(read).toEqual([true, true, false, false, true]);
  const words = recorder.timeline().all('chardev.state');
  expect(words.map(({ means, connected }) => `${means} ${connected}`)).toEqual([
    'qom true',
    'filename true',
    'qom false',
    'filename false',
    'qom true',
    'filename true',
  ]);
  expect(new Set(qmp.asked)).toEqual(
    new Set(['qom-get {"path":"/chardevs/c0","property":"connected"}', 'query-chardev']),
  );
});

test('a QEMU without the property is read by the file name, for good', async () => {
  const recorder = new Recorder();
  const names = ['unix:/run/s,server=on <-> /run/s', 'disconnected:unix:/run/s,server=on'];
  const qmp = new ScriptedQmp({
    'qom-get': refuse,
    'query-chardev': () => named(names.shift()!),
  });
  const watch = new ChardevWatch(qmp, recorder);
  expect(await watch.read()).toBe(true);
  expect(await watch.read()).toBe(false);
  expect(qmp.asked.map((command) => command.split(' ')[0])).toEqual(['qom-get', 'query-chardev', 'query-chardev']);
  expect(recorder.timeline().all('chardev.state')).toMatchObject([
    { connected: true, means: 'filename' },
    { connected: false, means: 'filename' },
  ]);
});

test('the file name is recorded, and each change of it', async () => {
  const recorder = new Recorder();
  const names = ['unix:/s', 'unix:/s', 'unix:/t'];
  const watch = new ChardevWatch(
    new ScriptedQmp({ 'qom-get': refuse, 'query-chardev': () => named(names.shift()!) }),
    recorder,
  );
  for (let i = 0; i < 3; i++) await watch.read();
  const words = recorder.timeline().all('chardev.state');
  expect(words.map(({ text, connected }) => `${text} ${connected}`)).toEqual(['unix:/s true', 'unix:/t true']);
});

test('a chardev that is not there is not connected', async () => {
  const recorder = new Recorder();
  const watch = new ChardevWatch(new ScriptedQmp({ 'qom-get': refuse, 'query-chardev': () => [] }), recorder);
  expect(await watch.read()).toBe(false);
});

test('the end of QMP is no refusal: it rejects and records nothing', async () => {
  const recorder = new Recorder();
  const gone = (): never => {
    throw new Error('socket closed');
  };
  const qmp = new ScriptedQmp({ 'qom-get': gone, 'query-chardev': () => [] });
  await expect(new ChardevWatch(qmp, recorder).read()).rejects.toThrow('socket closed');
  expect(recorder.events).toEqual([]);
});

test('a chardev that is removed is disconnected, and the one after it is asked for its property again', async () => {
  const recorder = new Recorder();
  let there = true;
  const qmp = new ScriptedQmp({
    'qom-get': () => {
      if (!there) throw new QmpError('DeviceNotFound', "Device '/chardevs/c0' not found");
      return true;
    },
    'query-chardev': () => (there ? named('unix:/s') : []),
  });
  const watch = new ChardevWatch(qmp, recorder);
  const read: boolean[] = [];
  for (there of [true, false, true]) read.push(await watch.read());
  expect(read).toEqual([true, false, true]);
  expect(qmp.asked.filter((command) => command.startsWith('qom-get'))).toHaveLength(3);
});
