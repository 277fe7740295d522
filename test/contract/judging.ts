import { expect } from 'vitest';
import { type BreakKind, type Judgement, registry } from '../../src/contract/index.js';
import type { Timeline } from '../../src/timeline/index.js';
import type { Story } from './timeline-builder.js';

/** The judgement of one requirement. */
export function judge(id: string, story: Story | Timeline): Judgement {
  const requirement = registry.find((one) => one.id === id);
  if (!requirement) throw new Error(`no requirement ${id}`);
  return requirement.judge('timeline' in story ? story.timeline() : story);
}

export function expectHold(id: string, story: Story, seen?: RegExp): void {
  const judgement = judge(id, story);
  expect(judgement, judgement.seen).toMatchObject({ outcome: 'hold' });
  if (seen) expect(judgement.seen).toMatch(seen);
}

export function expectBreak(id: string, story: Story, kind: BreakKind, seen: RegExp): void {
  const judgement = judge(id, story);
  expect(judgement, judgement.seen).toMatchObject({ outcome: 'break', kind });
  expect(judgement.seen).toMatch(seen);
  expect(judgement.events.length).toBeGreaterThan(0);
}

export function expectNotApplicable(id: string, story: Story): void {
  const judgement = judge(id, story);
  expect(judgement, judgement.seen).toMatchObject({ outcome: 'not-applicable', events: [] });
  expect(judgement.seen).not.toBe('');
}
