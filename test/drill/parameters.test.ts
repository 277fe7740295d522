import { expect, it } from 'vitest';
import { commandOf, parametersOf } from '../../src/drill/index.js';

it.each([
  [[], {}],
  [['away=2s', 'port=p1'], { port: 'p1', params: { away: '2s' } }],
  [['cycles=20', 'live=200ms'], { params: { cycles: 20, live: '200ms' } }],
  [['back={"profile":"testpmd-22.11"}'], { params: { back: { profile: 'testpmd-22.11' } } }],
  [['ready'], { params: 'ready' }],
  [['"ready"', 'port=p0'], { port: 'p0', params: 'ready' }],
  [['at=SET_VRING_CALL.1.after-read'], { params: { at: 'SET_VRING_CALL.1.after-read' } }],
])('takes %j as parameters', (words, expected) => {
  expect(parametersOf(words)).toEqual(expected);
});

it.each([
  ['', { verb: '' }],
  ['  down ', { verb: 'down' }],
  ['restart  away=2s port=p0', { verb: 'restart', port: 'p0', params: { away: '2s' } }],
  ['note text=two words = 2', { verb: 'note', params: { text: 'two words = 2' } }],
  ['note text=7', { verb: 'note', params: { text: '7' } }],
])('takes %j as a verb', (line, expected) => {
  expect(commandOf(line)).toEqual(expected);
});
