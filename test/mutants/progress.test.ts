import { expect, it } from 'vitest';
import { Progress } from './progress.js';

function screen(isTTY: boolean) {
  const shown: string[] = [];
  return { isTTY, shown, write: (text: string) => shown.push(text) };
}

it('is redrawn on a terminal, and left before the next stage', () => {
  const terminal = screen(true);
  const progress = new Progress(terminal);
  progress.stage('one');
  progress.step(1, 200);
  progress.step(2, 200);
  progress.stage('two');
  progress.end();
  expect(terminal.shown).toEqual(['one\n', '\r\u001b[Kone [1/200]', '\r\u001b[Kone [2/200]', '\n', 'two\n']);
});

it('is a line for every fifth elsewhere, anew in each stage', () => {
  const file = screen(false);
  const progress = new Progress(file);
  progress.stage('one');
  for (let done = 1; done <= 200; done++) progress.step(done, 200);
  progress.stage('two');
  progress.step(3, 3);
  const steps = [40, 80, 120, 160, 200].map((done) => `one [${done}/200]\n`);
  expect(file.shown).toEqual(['one\n', ...steps, 'two\n', 'two [3/3]\n']);
});
