import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

/** QEMU writes so many lines at the first loss. */
function complaining(story: Story, lines: number): Story {
  const { t } = story.find('session.close');
  return story.plus(
    ...Array.from({ length: lines }, () => ({ type: 'qemu.stderr' as const, t, line: 'Failed to read msg header.' })),
  );
}

describe('R51 QEMU does not flood its log', () => {
  it('holds for one that says little of a connection', () => {
    expectHold('R51', server(), /^0 lines in 2 connections$/);
    expectHold('R51', complaining(client(), 300), /^300 lines in 2 connections$/);
    expectHold('R51', complaining(server({ away: [200, 200] }), 400), /^400 lines in 3 connections$/);
  });

  it('breaks for one that does not stop', () =>
    expectBreak('R51', complaining(server(), 301), 'violation', /^301 lines in 2 connections$/));

  it('says nothing of a QEMU whose error stream is an operator’s', () =>
    expectNotApplicable(
      'R51',
      complaining(server(), 301).with('run.begin', () => true, { joined: true }),
    ));
});
