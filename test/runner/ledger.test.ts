import { expect, test } from 'vitest';
import { Ledger } from '../../src/runner/ledger.js';
import { type EventBody, Recorder, type SeqRanges } from '../../src/timeline/index.js';

const seen = (dir: 'tx' | 'rx', pair: number, seqs: SeqRanges): EventBody => ({
  type: 'packets.seen',
  dir,
  pair,
  seqs,
  corrupt: 0,
});

function ledger() {
  const recorder = new Recorder();
  const made = new Ledger();
  recorder.listen(made.listen);
  return { made, recorder };
}

test('bursts are numbered on, per pair and direction', () => {
  const { made } = ledger();
  expect(made.take('tx', 0, 64)).toEqual({ dir: 'tx', pair: 0, first: 0, count: 64 });
  expect(made.take('tx', 0, 10)).toMatchObject({ first: 64, count: 10 });
  expect(made.take('rx', 0, 3)).toMatchObject({ first: 0 });
  expect(made.take('tx', 1, 3)).toMatchObject({ first: 0 });
});

test('what is missing shrinks as packets are seen, in any order', () => {
  const { made, recorder } = ledger();
  const burst = made.take('tx', 0, 10);
  expect(made.missing(burst)).toEqual([[0, 9]]);
  recorder.record(seen('tx', 0, [[7, 8]]));
  recorder.record(
    seen('tx', 0, [
      [2, 3],
      [0, 0],
    ]),
  );
  expect(made.missing(burst)).toEqual([
    [1, 1],
    [4, 6],
    [9, 9],
  ]);
  recorder.record(seen('tx', 0, [[0, 9]]));
  expect(made.missing(burst)).toEqual([]);
});

test('another pair, another direction and other events do not count', () => {
  const { made, recorder } = ledger();
  const burst = made.take('rx', 1, 2);
  recorder.record(seen('tx', 1, [[0, 1]]));
  recorder.record(seen('rx', 0, [[0, 1]]));
  recorder.record({ type: 'packets.sent', dir: 'rx', pair: 1, seqs: [[0, 1]] });
  recorder.record({ type: 'packets.completed', dir: 'tx', pair: 1, seqs: [[0, 1]] });
  expect(made.missing(burst)).toEqual([[0, 1]]);
});

test('what the driver got back counts apart from what was seen', () => {
  const { made, recorder } = ledger();
  const burst = made.take('tx', 1, 3);
  recorder.record(seen('tx', 1, [[0, 1]]));
  expect(made.unused(burst)).toEqual([[0, 2]]);
  recorder.record({ type: 'packets.completed', dir: 'tx', pair: 1, seqs: [[1, 2]] });
  recorder.record({ type: 'packets.completed', dir: 'tx', pair: 0, seqs: [[0, 2]] });
  expect(made.unused(burst)).toEqual([[0, 0]]);
  expect(made.missing(burst)).toEqual([[2, 2]]);
});

test('packets seen before they are asked for count', () => {
  const { made, recorder } = ledger();
  recorder.record(seen('rx', 0, [[0, 4]]));
  expect(made.missing(made.take('rx', 0, 6))).toEqual([[5, 5]]);
  expect(made.missing(made.take('rx', 0, 0))).toEqual([]);
});
