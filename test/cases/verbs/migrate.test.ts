import { describe, expect, it } from 'vitest';
import { StepFailed } from '../../../src/cases/index.js';
import { perform, stageOf, takes } from './stage.js';

function stage() {
  const done: unknown[] = [];
  const note = (what: string) => () => void done.push(what);
  const made = stageOf({
    startMigration: async (choice: object) => void done.push(choice),
    migration: { release: note('release'), close: note('close') },
    continueMigration: async () => void done.push('continue'),
    cancelMigration: async () => void done.push('cancel'),
    resumeSource: async () => void done.push('resume'),
  });
  return { done, run: (action: unknown) => perform('migrate', made, action) };
}

describe('migrate', () => {
  it.each([
    ['start', {}],
    [{ start: {} }, {}],
    [{ start: { hold: 'copied' } }, { hold: 'copied' }],
    [{ start: { pause: 'switch-over' } }, { pause: 'switch-over' }],
    [{ start: { hold: 'copied', pause: 'switch-over' } }, { hold: 'copied', pause: 'switch-over' }],
    ['release', 'release'],
    ['continue', 'continue'],
    ['cancel', 'cancel'],
    ['break-off', 'close'],
    ['resume', 'resume'],
  ])('%j does that and nothing else', async (action, what) => {
    const { done, run } = stage();
    await run(action);
    expect(done).toStrictEqual([what]);
  });

  it.each(['release', 'break-off'])('%s fails where there was no migration', async (action) => {
    const made = stageOf({
      get migration(): never {
        throw new StepFailed('there was no migration');
      },
    });
    await expect(perform('migrate', made, action)).rejects.toThrow(StepFailed);
  });

  it('takes no other word', () => {
    for (const wrong of [
      'stop',
      {},
      { start: 'copied' },
      { start: { hold: 'switch-over' } },
      { start: { pause: true } },
    ])
      expect(takes('migrate', wrong), JSON.stringify(wrong)).toBe(false);
  });
});
