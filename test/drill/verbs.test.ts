import { describe, expect, it } from 'vitest';
import { DrillError } from '../../src/drill/error.js';
import { checked, controlVerbs } from '../../src/drill/verbs.js';

/** What `checked` refuses. */
function refusal(name: string, params?: unknown): DrillError {
  try {
    checked(name, params);
  } catch (error) {
    expect(error).toBeInstanceOf(DrillError);
    return error as DrillError;
  }
  throw new Error(`${name} was not refused`);
}

describe('checked', () => {
  it('gives the verb and its parameters, with what is left out', () => {
    const { verb, params } = checked('down', {});
    expect(verb).toBe(controlVerbs.find(({ name }) => name === 'down'));
    expect(params).toEqual({ leave: 'close', path: 'keep' });
    expect(checked('stall', undefined).params).toEqual({});
    expect(checked('up', null).params).toEqual({});
  });

  it('turns durations into milliseconds', () => {
    expect(checked('restart', { away: '2.9s' }).params).toMatchObject({ away: 2900, leave: 'close', back: 'same' });
    expect(checked('restart', { away: 'before-leave' }).params).toMatchObject({ away: 'before-leave' });
    expect(checked('flap', { cycles: 3, live: '200ms', away: '1s' }).params).toMatchObject({ live: 200, away: 1000 });
  });

  it('leaves text alone that looks like a duration', () => {
    expect(checked('note', { text: '5s' }).params).toEqual({ text: '5s' });
    const qmp = { execute: 'qom-set', arguments: { path: '/x', property: 'p', value: '10ms' } };
    expect(checked('qmp', qmp).params).toEqual(qmp);
  });

  it('suggests a verb for one that there is not', () => {
    expect(refusal('restrat')).toMatchObject({
      code: 'ERR_VERB',
      message: 'there is no verb restrat',
      hint: expect.stringContaining('restart'),
    });
    const far = refusal('x'.repeat(1000));
    expect(far.message).toBe(`there is no verb ${'x'.repeat(40)}`);
    expect(far.hint).toBeUndefined();
    // Not what every object has.
    expect(refusal('constructor').code).toBe('ERR_VERB');
  });

  it.each<[string, unknown, string]>([
    ['down', { path: 'nowhere' }, 'down: path: '],
    ['restart', { away: '2 weeks' }, 'restart: away: '],
    ['note', {}, 'note: text: '],
    ['note', { text: '' }, 'note: text: '],
    ['profile', { name: 'ovs' }, 'profile: name: '],
    ['up', { back: { reply: 7 } }, 'up: back'],
    ['stall', { now: true }, 'stall: '],
    ['stall', 'now', 'stall: '],
    ['flap', { cycles: 0, live: 1 }, 'flap: cycles: '],
  ])('%s refuses %j at its place', (name, params, start) => {
    const error = refusal(name, params);
    expect(error.code).toBe('ERR_PARAMETERS');
    expect(error.message.startsWith(start), error.message).toBe(true);
    expect(error.message.length).toBeGreaterThan(start.length);
    expect(error.hint).toBe(controlVerbs.find((verb) => verb.name === name)!.help);
  });
});

describe('controlVerbs', () => {
  it('have names of their own, and help', () => {
    const names = controlVerbs.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { help } of controlVerbs) expect(help).toMatch(/^[A-Z].*\.$/s);
  });

  it('ask before what takes the back-end away from the guest, or may change the machine', () => {
    const asks = controlVerbs.filter(({ confirm }) => confirm).map(({ name }) => name);
    expect(asks).toEqual(expect.arrayContaining(['down', 'restart', 'flap', 'misbehave', 'cut', 'run', 'qmp', 'end']));
    for (const harmless of ['up', 'resume', 'note', 'await', 'traffic', 'stop']) expect(asks).not.toContain(harmless);
  });
});
