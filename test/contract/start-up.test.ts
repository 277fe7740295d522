import { describe, it } from 'vitest';
import type { EventOf, RunBegin } from '../../src/timeline/index.js';
import { client, PID, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import { Story } from './timeline-builder.js';

/** A QEMU with options of the chardev that a case gives. */
const given = (story: Story, options: Record<string, string>, version = '7.2.22', known = ['wait', 'reconnect']) =>
  story.with(
    'run.begin',
    () => true,
    ({ qemu }): Partial<RunBegin> => ({ chardev: { options, known }, qemu: { ...qemu, version } }),
  );

/** It ends before it has begun, with a word. */
const refused = (story: Story, line: string, exit: Partial<EventOf<'qemu.exit'>> = {}) =>
  new Story([
    story.find('run.begin'),
    { t: 1, type: 'qemu.spawn', pid: PID },
    { t: 20, type: 'qemu.stderr', line },
    { t: 21, type: 'qemu.exit', code: 1, signal: null, ...exit },
    { t: 22, type: 'run.end' },
  ]);

const silent = (story: Story, until: number) =>
  new Story([story.find('run.begin'), { t: 1, type: 'qemu.spawn', pid: PID }, { t: until, type: 'run.end' }]);

const LISTENING = "-chardev socket,reconnect=1: 'reconnect' option is incompatible with socket in server listen mode";

describe('R10 a listener takes no reconnect interval', () => {
  const told = given(server(), { reconnect: '1' });
  it('holds when QEMU refuses it by name', () =>
    expectHold('R10', refused(told, LISTENING), /refused with exit code 1/));
  it('breaks when QEMU starts with it', () =>
    expectBreak('R10', told, 'violation', /QEMU took reconnect for a listener/));
  it('breaks when QEMU neither starts nor ends', () =>
    expectBreak('R10', silent(told, 6000), 'hang', /neither took nor refused reconnect/));
  it('is tolerant of the option that 9.2 to 10.1 do not check', () => {
    const newer = (version: string) =>
      given(server(), { 'reconnect-ms': '1000' }, version, ['reconnect', 'reconnect-ms']);
    expectHold('R10', newer('10.0.13'), /as 9.2 to 10.1 take it/);
    expectBreak('R10', newer('10.2.0'), 'violation', /took reconnect-ms/);
    expectBreak('R10', newer('9.1.0'), 'violation', /took reconnect-ms/);
  });
  it('says nothing of an end without a word about the option, of a crash, or without such options', () => {
    expectNotApplicable('R10', refused(told, 'cannot set up guest memory'));
    expectNotApplicable('R10', refused(told, LISTENING, { code: null, signal: 'SIGABRT' }));
    expectNotApplicable('R10', silent(told, 1000));
    expectNotApplicable('R10', server());
    expectNotApplicable('R10', given(client(), { reconnect: '1' }));
  });
});

describe('R16 a dialling QEMU takes no wait', () => {
  const told = (version: string) => given(client(), { wait: 'off' }, version);
  it('holds when QEMU refuses it, or is older than the check', () => {
    const line = "'wait' option is incompatible with socket in client connect mode";
    expectHold('R16', refused(told('7.2.22'), line));
    expectHold('R16', told('5.2.0'), /as before 6.0/);
  });
  it('breaks when QEMU starts with it', () => expectBreak('R16', told('6.0.0'), 'violation', /took wait/));
  it('is about a QEMU that dials', () => expectNotApplicable('R16', given(server(), { wait: 'off' })));
});

describe('R17 the interval is given in one of the ways that QEMU lists', () => {
  const both = ['reconnect', 'reconnect-ms'];
  const unknown = "Invalid parameter 'reconnect-ms'";
  it('holds when QEMU refuses what it does not list, and both at once, and takes the rest', () => {
    expectHold('R17', refused(given(client(), { 'reconnect-ms': '1000' }), unknown));
    const pair = given(client(), { reconnect: '1', 'reconnect-ms': '1000' }, '10.0.13', both);
    expectHold('R17', refused(pair, "'reconnect' and 'reconnect-ms' are mutually exclusive"));
    expectHold('R17', given(client(), { reconnect: '1' }), /reconnect was taken/);
  });
  it('breaks when QEMU takes what it does not list, or both, or refuses what it lists', () => {
    expectBreak('R17', given(client(), { 'reconnect-ms': '1000' }), 'violation', /which it does not list/);
    const pair = given(client(), { reconnect: '1', 'reconnect-ms': '1000' }, '10.0.13', both);
    expectBreak('R17', pair, 'violation', /took reconnect and reconnect-ms/);
    const listed = given(client(), { 'reconnect-ms': '1000' }, '10.0.13', both);
    expectBreak('R17', refused(listed, unknown), 'violation', /lists reconnect-ms and refuses it/);
  });
  it('is about a QEMU that dials', () => expectNotApplicable('R17', given(server(), { reconnect: '1' })));
});

describe('R11 a listening QEMU waits for its first peer, and says so', () => {
  const late = server().stretch(server().find('peer.dial').t, 3000);
  const line = {
    t: 100,
    type: 'qemu.stderr',
    line: 'info: QEMU waiting for connection on: disconnected:unix:/x',
  } as const;
  it('holds when it says that it waits', () => expectHold('R11', late.plus(line), /it waited, and said/));
  it('breaks when it waits without a word', () =>
    expectBreak('R11', late, 'violation', /waited 30\d\d ms for its peer without a word/));
  it('breaks when it starts without a peer', () => {
    const early = late.with('qmp.ready', () => true, { t: 50 });
    expectBreak('R11', early.plus(line), 'violation', /started without a peer/);
  });
  it('says nothing of an operator’s QEMU, whose start and stderr nobody saw', () => {
    expectNotApplicable(
      'R11',
      late.with('run.begin', () => true, { joined: true }),
    );
    expectNotApplicable(
      'R11',
      late.with('qmp.ready', () => true, { t: 50 }).with('run.begin', () => true, { joined: true }),
    );
  });
  it('says nothing when the peer came at once, or QEMU dials', () => {
    expectNotApplicable('R11', server());
    expectNotApplicable('R11', client());
  });
});

describe('R19 rings are enabled when the device is made, and then for a driver only', () => {
  const idle = server({ driver: 'none', pairs: 2 });
  const enable = idle.find('wire.recv', ({ name }) => name === 'SET_VRING_ENABLE');
  it('holds when every ring was told of once, and none on a return; and when nothing was told', () => {
    expectHold('R19', idle, /4 when the device was made, none in 1 return without a driver/);
    expectHold('R19', server({ pairs: 2 }), /4 when the device was made$/);
    expectHold(
      'R19',
      idle.without('wire.recv', ({ name }) => name === 'SET_VRING_ENABLE'),
      /0 when/,
    );
  });
  it('breaks when rings of a pair that is not in use are enabled, or one is left out', () => {
    const all = idle.with(
      'wire.recv',
      ({ name }) => name === 'SET_VRING_ENABLE',
      ({ body }) => ({
        body: { ...(body as object), num: 1 },
      }),
    );
    expectBreak('R19', all, 'violation', /ring 2: 1, ring 3: 1, of 4 rings/);
    expectBreak(
      'R19',
      idle.without('wire.recv', (e) => e === enable),
      'violation',
      /SET_VRING_ENABLE for ring 1/,
    );
  });
  it('breaks when a return without a driver brings one', () => {
    const owner = idle.find('wire.recv', ({ name, session }) => name === 'SET_VRING_ERR' && session === 2, -1);
    const stray = { ...enable, t: owner.t + 1, session: 2, index: owner.index + 1 };
    expectBreak('R19', idle.plus(stray), 'violation', /session 2: 1 SET_VRING_ENABLE without a driver/);
  });
  it('does not miss what the peer left unread', () => {
    const cut = idle.without('wire.recv', (e) => e === enable);
    expectHold(
      'R19',
      cut.with('session.close', ({ session }) => session === 1, { unread: 20 }),
      /^none in/,
    );
  });
});
