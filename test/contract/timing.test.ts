import { describe, expect, it } from 'vitest';
import { spent } from '../../src/contract/timing.js';
import { type Event, type EventOf, Timeline } from '../../src/timeline/index.js';

const paces = (...samples: [t: number, counts: Pick<EventOf<'pace'>, 'lag' | 'delay' | 'ran'>][]) =>
  new Timeline(samples.map(([t, counts], seq) => ({ seq, t, type: 'pace', ...counts }) as Event));

describe('spent', () => {
  it('leaves out what the machine took', () => {
    const t = paces([0, { lag: 0, delay: 0, ran: 0 }], [1000, { lag: 200, delay: 300, ran: 10 }]);
    expect(spent(t, 0, 1000)).toBe(500);
    expect(spent(t, 0, 400)).toBe(0);
  });

  it('is no excuse for a QEMU that spins: it is always short of a CPU on a busy machine', () => {
    const t = paces([0, { lag: 0, delay: 0, ran: 0 }], [60_000, { lag: 20_000, delay: 40_000, ran: 15_000 }]);
    expect(spent(t, 0, 60_000)).toBe(40_000);
  });

  it('does not count what an idle QEMU ran while the tester stood still', () => {
    // A machine that was suspended for minutes, or a tester that was stopped.
    const t = paces(
      [0, { lag: 0, delay: 0, ran: 100 }],
      [100, { lag: 0, delay: 0, ran: 100 }],
      [142_700, { lag: 142_550, delay: 0, ran: 425 }],
    );
    expect(spent(t, 100, 142_700)).toBe(50);
  });
});
