import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed } from './timeline-builder.js';

const restart = server();
const loss = restart.find('session.close').t;

/** Samples of the 3.1 s in which nobody is there: what grows from one of every 100 ms to the next. */
const samples = (growth: { lag?: number; delay?: number; ran?: number }): Timed[] =>
  Array.from({ length: 31 }, (_, i) => ({
    type: 'pace',
    t: loss + 5 + 100 * i,
    lag: (growth.lag ?? 0) * i,
    delay: (growth.delay ?? 0) * i,
    ran: (growth.ran ?? 0) * i,
  }));
const paced = (growth: Parameters<typeof samples>[0], story: Story = restart) => story.plus(...samples(growth));

describe('R44 QEMU rests while no back-end is there', () => {
  it('holds for one that sleeps, whether it listens or dials', () => {
    expectHold('R44', restart, /^1 absence, at most 0 ms on a CPU$/);
    expectHold('R44', paced({ ran: 2 }));
    expectHold('R44', client());
  });

  it('breaks for one that runs all the time', () =>
    expectBreak('R44', paced({ ran: 95 }), 'violation', /main thread ran for 2\d+ ms of 2\d+ ms in which no back-end/));

  it('breaks for one that would, on a busy machine', () =>
    expectBreak('R44', paced({ ran: 20, delay: 75 }), 'violation', /main thread ran for/));

  it('holds for one that is often woken there, and sleeps for the rest', () =>
    expectHold('R44', paced({ ran: 15, delay: 30 })));

  it('holds where taking the device down is all the work', () =>
    expectHold('R44', restart.plus(...samples({}).map((one, i) => (i < 3 ? one : { ...one, ran: 240 }) as Timed))));

  it('says nothing of a short absence, of none, and of one that nobody watched', () => {
    expectNotApplicable('R44', server({ away: [600] }));
    expectNotApplicable('R44', server({ away: [] }));
    expectNotApplicable('R44', paced({ ran: 95, lag: 100 }));
  });

  it('is no matter of a QEMU that is short of descriptors: it is told of who waits at its door again and again', () =>
    expectNotApplicable(
      'R44',
      paced({ ran: 95 }).plus(
        { type: 'qemu.descriptors', t: loss + 1, limit: 30, spare: 0 },
        { type: 'qemu.descriptors', t: loss + 3050, limit: 1024 },
      ),
    ));
});
