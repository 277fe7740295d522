import { describe, expect, it } from 'vitest';
import { type DrillState, renderScreen, type ScreenView } from '../../src/drill/index.js';
import { paint } from '../../src/report/index.js';

const port: DrillState['ports'][string] = {
  port: 'p0',
  role: 'client',
  socket: '/run/vhu0.sock',
  profile: 'ovs-dpdk-3.1',
  peer: 'connected',
  chardev: 'CONNECTED',
  rings: { running: [0, 1], started: [0, 1] },
  link: 'up',
  pingAt: 900,
  restarts: [
    { number: 1, at: 10, session: 1, by: 'peer', how: 'close', backMs: 2000, ringsMs: 2020, outageMs: 2140, lost: 20 },
  ],
  restartCount: 1,
  counters: {},
};
const state: DrillState = {
  now: 1000,
  over: false,
  vm: {
    state: 'running',
    how: 'spawned',
    pid: 7,
    version: '7.2.22',
    runState: 'running',
    latencyMs: 2,
    guest: 'up',
    troubles: 0,
  },
  ports: { p0: port },
};
const view = (changes: Partial<ScreenView> = {}): ScreenView => ({
  state,
  port: 'p0',
  log: [],
  said: '',
  columns: 100,
  rows: 20,
  ...changes,
});
const drawn = (changes: Partial<ScreenView> = {}) => renderScreen(view(changes), paint(false));

describe('the screen of a drill', () => {
  it('shows the machine, the port, its restarts, the newest events, and the keys', () => {
    const log = Array.from({ length: 50 }, (_, i) => `event ${i}`);
    const lines = drawn({ log, said: 'restart: done' });
    expect(lines[0]).toMatch(/^QEMU 7\.2\.22 running {2}process 7 .*QMP 2\.0 ms {2}guest up/);
    expect(lines[1]).toMatch(
      /^p0 role client {2}CONNECTED {2}peer connected {2}rings 2 {2}link up {2}last ping 100 ms ago/,
    );
    expect(lines[2]).toContain('restart 1 (close): back 2.00 s, rings 2.02 s, outage 2.14 s, lost 20');
    expect(lines).toHaveLength(20);
    expect(lines.at(-3)).toBe('event 49');
    expect(lines.at(-2)).toBe('restart: done');
    expect(lines.at(-1)).toContain('r restart');
  });

  it('shows a crash with its evidence, and a broken requirement', () => {
    const gone = drawn({
      state: {
        ...state,
        vm: { ...state.vm, state: 'gone', exit: { code: null, signal: 'SIGABRT' }, evidence: ['assertion x'] },
      },
    });
    expect(gone.slice(0, 2)).toEqual(['QEMU IS GONE: SIGABRT  begin another drill', '  assertion x']);
    const asked = { ...state.vm, state: 'gone', exit: { code: 0, signal: null, asked: 'quit' } } as const;
    expect(drawn({ state: { ...state, vm: asked } })[0]).toBe('QEMU is gone, as it was asked to: begin another drill');
    const verdicts = [
      {
        requirement: 'R20',
        title: 'Rings',
        level: 'must',
        outcome: 'break' as const,
        kind: 'violation',
        seen: 'ring 0 did not start',
      },
    ];
    expect(drawn({ state: { ...state, ports: { p0: { ...port, verdicts } } } }).join('\n')).toContain(
      '✕ R20 Rings: ring 0 did not start',
    );
  });

  it('has room in any terminal, and lets nothing of a peer move its cursor', () => {
    for (const [columns, rows] of [
      [20, 3],
      [1, 1],
      [300, 2],
    ] as const) {
      const lines = renderScreen(view({ columns, rows, log: ['x'.repeat(500)], said: '\u001b[2J' }), paint(true));
      expect(lines.length).toBeLessThanOrEqual(rows);
      expect(lines.join('')).not.toContain('\u001b[2J');
    }
    expect(drawn({ columns: 40 }).every((line) => line.length <= 40)).toBe(true);
    expect(drawn({ state: undefined })[0]).toBe('connecting …');
  });
});
