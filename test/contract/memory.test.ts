import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Timed } from './timeline-builder.js';

const good = server();
const { t: from } = good.find('qmp.ready');

/** Looks at rest while a session stands, with the memory that `kib` gives for each, and something else in `more`. */
const looks = (kib: (i: number) => number, count = 50, more: object = {}) =>
  good.plus(
    ...Array.from({ length: count }, (_, i): Timed => {
      const anonymous = kib(i) * 1024;
      return { t: from + 1 + i / 1000, type: 'proc.sample', fds: 20, threads: 4, settled: true, anonymous, ...more };
    }),
  );

describe('R40 memory does not grow from return to return', () => {
  it('holds when it settles, and for steps that malloc takes', () => {
    expectHold(
      'R40',
      looks((i) => 15_000 - Math.min(i, 5)),
    );
    expectHold(
      'R40',
      looks((i) => (i < 25 ? 15_000 : 15_132)),
    );
    expectHold(
      'R40',
      looks((i) => 15_000 + (i % 2) * 132),
    );
    // A pause in between is no leak of every return.
    expectHold(
      'R40',
      looks((i) => (i < 15 ? 15_000 : i < 40 ? 15_132 : 15_264)),
    );
  });
  it('breaks when it grows from part to part', () => {
    expectBreak(
      'R40',
      looks((i) => 15_000 + 4 * i),
      'violation',
      /memory grows on: 15060 KiB, 15100 KiB, 15140 KiB/,
    );
    expectHold(
      'R40',
      looks((i) => 15_000 + 2 * i),
    );
    // Ever less: 120, 60, 40 KiB.
    expectHold(
      'R40',
      looks((i) => 15_000 + [0, 0, 120, 180, 220][Math.floor(i / 10)]!),
    );
  });
  it('breaks when it grows while a dialling QEMU finds nobody', () => {
    const away = client({ away: [30_000] });
    const [before, after] = [0, 1].map((i) => away.find('proc.sample', ({ settled }) => settled === true, i));
    const grown = (kib: number) =>
      away
        .with('proc.sample', ({ t }) => t === before!.t, { anonymous: 15_000 << 10 })
        .with('proc.sample', ({ t }) => t === after!.t, { anonymous: (15_000 + kib) << 10 });
    expectHold('R40', grown(500), /15000 KiB before \d\d dials that failed, 15500 KiB after them/);
    expectBreak('R40', grown(600), 'violation', /grows in an absence: 15000 KiB before/);
    const busy = { t: before!.t + 5, type: 'qmp.command', id: 1, execute: 'object-add' } as const;
    expectNotApplicable('R40', grown(600).plus(busy));
  });
  it('says nothing of few looks, or of a build with a sanitizer', () => {
    expectNotApplicable(
      'R40',
      looks((i) => 15_000 + 100 * i, 39),
    );
    expectNotApplicable(
      'R40',
      looks((i) => 15_000 + 100 * i, 50, { peak: 2 ** 44 }),
    );
  });
});
