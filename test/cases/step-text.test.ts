import { describe, expect, it } from 'vitest';
import { parameterHelp, stepText } from '../../src/cases/step-text.js';
import { verbs } from '../../src/cases/verbs/index.js';

describe('stepText', () => {
  it.each([
    ['peer', 'connect', 'peer: connect'],
    ['traffic', 64, 'traffic: 64'],
    ['decoy', { for: 6000 }, 'decoy: { for: 6s }'],
    [
      'restart',
      { leave: 'close', away: 2900, back: { stall: 'GET_FEATURES' } },
      'restart: { leave: close, away: 2.9s, back: { stall: GET_FEATURES } }',
    ],
    ['restart', { away: 'before-leave' }, 'restart: { away: before-leave }'],
    ['restart', { away: 1050 }, 'restart: { away: 1050ms }'],
    ['qmp', { execute: 'stop', arguments: {} }, 'qmp: { execute: stop, arguments: {} }'],
  ])('writes %s %j as a file would', (verb, params, text) => {
    expect(stepText({ verb, params }, verbs)).toBe(text);
  });

  it('leaves the step as it is', () => {
    const params = { away: 2900 };
    stepText({ verb: 'restart', params }, verbs);
    expect(params).toEqual({ away: 2900 });
  });
});

describe('parameterHelp', () => {
  it('tells what the schema says of each parameter', () => {
    const restart = verbs.find(({ name }) => name === 'restart')!;
    expect(parameterHelp(restart).map(({ name }) => name)).toEqual(['leave', 'away', 'path', 'back']);
    expect(parameterHelp(verbs.find(({ name }) => name === 'peer')!)).toEqual([]);
  });
});
