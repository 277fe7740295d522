import type { EventOf, RunBegin, Timeline } from '../timeline/index.js';
import { atLeast, contextOf } from './body.js';
import { broken, hold, ms, notApplicable } from './judgement.js';
import type { Judgement, Requirement } from './requirement.js';
import { horizon, START_MS, spent } from './timing.js';

/** The options that the requirements here are about. */
export const judgedOptions: readonly string[] = ['wait', 'reconnect', 'reconnect-ms'];
const intervals: readonly string[] = ['reconnect', 'reconnect-ms'];

/**
 * What versions take that others refuse. It does them no harm, and a build whose version says less than its patches do is
 * not to be accused for a text: what the binary lists itself (query-command-line-options) decides wherever it can.
 */
interface Tolerance {
  option: string;
  role: RunBegin['role'];
  /** From this version on, and below that one; open without. */
  from?: readonly [major: number, minor: number];
  below?: readonly [major: number, minor: number];
}
const tolerances: readonly Tolerance[] = [
  // The check of the older option was not repeated for the newer one, which a listener does not look at.
  { option: 'reconnect-ms', role: 'server', from: [9, 2], below: [10, 2] },
  // The check came with 6.0; up to then a client had no use for it.
  { option: 'wait', role: 'client', below: [6, 0] },
];

function tolerated({ role, qemu }: RunBegin, option: string): boolean {
  return tolerances.some(
    ({ option: name, role: whose, from = [0, 0], below }) =>
      name === option &&
      whose === role &&
      atLeast(qemu.version, ...from) &&
      !(below && atLeast(qemu.version, ...below)),
  );
}

interface Refusal {
  exit: EventOf<'qemu.exit'>;
  line: EventOf<'qemu.stderr'>;
}

/** QEMU ended by itself, before it started, with a word about one of the options that the case gives. */
export function optionsRefused(t: Timeline): Refusal | undefined {
  const given = Object.keys(contextOf(t)?.chardev?.options ?? {});
  const exit = t.first('qemu.exit');
  const started = t.first('qmp.ready') ?? t.first('session.open');
  if (!exit || started || exit.asked !== undefined || exit.signal !== null || exit.code === 0) return undefined;
  const line = t.first('qemu.stderr', (said) => given.some((name) => said.line.includes(`'${name}'`)));
  return line && { exit, line };
}

/** QEMU took the options: its start is over, or it has a peer. */
const taken = (t: Timeline) => t.first('session.open') ?? t.first('qmp.ready');

/** The judgement of a combination that is to be refused. @param unless why it may be taken all the same */
function toRefuse(t: Timeline, what: string, unless?: string): Judgement {
  const refusal = optionsRefused(t);
  if (refusal) {
    const { exit, line } = refusal;
    return hold(`refused with exit code ${exit.code}: ${line.line}`, [line.seq, exit.seq]);
  }
  const start = taken(t);
  if (start && unless) return hold(`${what} was taken, ${unless}`, [start.seq]);
  if (start) return broken('violation', `QEMU took ${what}`, [start.seq]);
  const spawn = t.first('qemu.spawn');
  const wait = spawn ? spent(t, spawn.t, Math.min(t.first('qemu.exit')?.t ?? Infinity, horizon(t).t)) : 0;
  if (!spawn || wait <= START_MS) return notApplicable('QEMU neither took the options nor said that it does not');
  return broken('hang', `QEMU neither took nor refused ${what} in ${ms(wait)}`, [spawn.seq]);
}

const options = (t: Timeline): { context: RunBegin; given: string[]; known: string[] } | undefined => {
  const context = contextOf(t);
  return context?.chardev && { context, given: Object.keys(context.chardev.options), known: context.chardev.known };
};

export const R10: Requirement = {
  id: 'R10',
  title: 'A listener takes no reconnect interval',
  sentence: 'A QEMU that is told to listen and to dial again after a loss refuses to start, with a word about it.',
  level: 'should',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#qmp_chardev_validate_socket', 'defect:server-self-connect-after-R'],
  allowed:
    'Exit by itself, not with 0, and a line that names the option. QEMU 9.2 to 10.1 may take reconnect-ms, which does nothing there (R8).',
  judge(t) {
    const it = options(t);
    const given = it?.given.find((name) => intervals.includes(name));
    if (it?.context.role !== 'server' || given === undefined)
      return notApplicable('QEMU was not told to listen with an interval');
    return toRefuse(
      t,
      `${given} for a listener`,
      tolerated(it.context, given) ? 'as 9.2 to 10.1 take it: R8 sees to it that it does nothing' : undefined,
    );
  },
};

export const R16: Requirement = {
  id: 'R16',
  title: 'A dialling QEMU takes no wait',
  sentence: 'A QEMU that is told to dial and to wait for a client refuses to start, with a word about it.',
  level: 'should',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#qmp_chardev_validate_socket'],
  allowed: 'Exit by itself, not with 0, and a line that names the option; before 6.0 it may be taken.',
  judge(t) {
    const it = options(t);
    if (it?.context.role !== 'client' || !it.given.includes('wait'))
      return notApplicable('QEMU was not told to dial and to wait');
    return toRefuse(t, 'wait for a client', tolerated(it.context, 'wait') ? 'as before 6.0' : undefined);
  },
};

export const R17: Requirement = {
  id: 'R17',
  title: 'The interval is given in one of the ways that QEMU lists',
  sentence:
    'A dialling QEMU takes the interval by each option that it lists, refuses one that it does not list, and refuses both at once.',
  level: 'should',
  label: 'contract',
  sources: ['qemu:qapi/char.json#ChardevSocket', 'qemu:chardev/char-socket.c#qemu_chr_parse_socket'],
  allowed:
    'reconnect in seconds up to 10.1, reconnect-ms from 9.2, as the binary lists them; refused by an exit that is not 0, and a line that names the option.',
  judge(t) {
    const it = options(t);
    const given = it?.given.filter((name) => intervals.includes(name)) ?? [];
    if (it?.context.role !== 'client' || given.length === 0)
      return notApplicable('QEMU was told of no interval by the case itself');
    const unknown = given.find((name) => !it.known.includes(name));
    if (unknown !== undefined) return toRefuse(t, `${unknown}, which it does not list`);
    if (given.length > 1) return toRefuse(t, given.join(' and '));
    const refusal = optionsRefused(t);
    if (refusal)
      return broken('violation', `QEMU lists ${given[0]} and refuses it: ${refusal.line.line}`, [
        refusal.line.seq,
        refusal.exit.seq,
      ]);
    const start = taken(t);
    return start ? hold(`${given[0]} was taken`, [start.seq]) : notApplicable('QEMU did not come up');
  },
};
