import { describe, expect, it } from 'vitest';
import { StepFailed } from '../../../src/cases/index.js';
import { perform, stageOf, takes } from './stage.js';

function stage({ connected = true } = {}) {
  const done: string[] = [];
  const made = stageOf({
    connectMonitor: () => void done.push('connect'),
    monitor: {
      ask: async (execute: string) => void done.push(execute),
      leave: (how: string) => {
        done.push(`leave ${how}`);
        return connected;
      },
    },
    begin: (what: string) => void done.push(`begun: ${what}`),
  });
  return { done, run: (action: string) => perform('monitor', made, action) };
}

describe('monitor', () => {
  it('connects and negotiates, without a wait', async () => {
    const { done, run } = stage();
    await run('connect');
    expect(done).toEqual(['connect', 'qmp_capabilities', 'begun: the second monitor']);
  });

  it('asks two commands, without a wait', async () => {
    const { done, run } = stage();
    await run('command');
    expect(done.filter((what) => !what.startsWith('begun'))).toEqual(['query-status', 'query-chardev']);
    expect(done.filter((what) => what.startsWith('begun'))).toHaveLength(2);
  });

  it.each([
    ['leave', 'whole'],
    ['break-off', 'half'],
  ])('%s: leaves %s', async (action, how) => {
    const { done, run } = stage();
    await run(action);
    expect(done).toEqual([`leave ${how}`]);
  });

  it.each(['leave', 'break-off'])('%s fails where the client is gone already', (action) =>
    expect(stage({ connected: false }).run(action)).rejects.toThrow(StepFailed),
  );

  it('takes nothing else', () => {
    expect(['connect', 'command', 'leave', 'break-off'].every((action) => takes('monitor', action))).toBe(true);
    expect([undefined, 'close', { connect: true }].some((action) => takes('monitor', action))).toBe(false);
  });
});
