import { describe, expect, it } from 'vitest';
import { outages } from '../../../src/contract/index.js';
import { draw, MAX_EVENTS } from '../../../src/report/html/draw.js';
import { server } from '../../contract/exchange.js';
import type { Story, Timed } from '../../contract/timeline-builder.js';

const story = server();
const drawn = (one: Story, marked: readonly number[] = []) => {
  const t = one.timeline();
  return draw(t, new Set(marked), outages(t));
};
const spans = (one: Story, lane: string) => {
  const { drawing } = drawn(one);
  return drawing.spans.filter((span) => drawing.lanes[span.lane] === lane);
};

describe('draw', () => {
  it('gives every event its lane, in order of time, and marks the evidence', () => {
    const seq = story.timeline().all('session.close')[0]!.seq;
    const { drawing, shown } = drawn(story, [seq]);
    expect(drawing.lanes.slice(0, 4)).toEqual(['steps', 'peer', 'wire', 'chardev']);
    expect(drawing.events).toHaveLength(shown.length);
    expect(drawing.events.every(({ t }, i) => i === 0 || t >= drawing.events[i - 1]!.t)).toBe(true);
    expect(shown.filter((_, i) => drawing.events[i]!.marked).map((event) => event.seq)).toEqual([seq]);
    const recv = drawing.events[shown.findIndex(({ type }) => type === 'wire.recv')]!;
    expect([drawing.lanes[recv.lane], recv.look]).toEqual(['wire', 'in']);
    expect(recv.text).toMatch(/^<- GET_FEATURES/);
  });

  it("draws the chardev's states as its model sees them", () => {
    expect(spans(story, 'chardev').map(({ label }) => label)).toEqual([
      ...['DISCONNECTED', 'CONNECTING', 'CONNECTED'],
      ...['DISCONNECTED', 'CONNECTING', 'CONNECTED'],
      'DISCONNECTED',
    ]);
  });

  it('shades an outage from the loss to the return', () => {
    const t = story.timeline();
    const { shades } = drawn(story).drawing;
    expect(shades.map(({ from, to }) => [from, to])).toEqual([
      [t.all('session.close')[0]!.t, t.all('session.open')[1]!.t],
    ]);
    expect(shades[0]!.text).toMatch(/^no back-end for .* after session 1$/);
  });

  it('tells quick answers of QMP together, late ones one by one, and draws a silence', () => {
    const end = story.timeline().end;
    const beat = (t: number, latency: number): Timed => ({
      type: 'qmp.heartbeat',
      t,
      sent: t - latency,
      latency,
      status: 'running',
    });
    const more = story.without('qmp.heartbeat').plus(beat(end + 1, 1), beat(end + 101, 3), beat(end + 500, 300), {
      type: 'qmp.silent',
      t: end + 3000,
      since: end + 900,
    });
    const lane = spans(more, 'QMP').map(({ look, from, label }) => [look, from - end, label]);
    expect(lane.slice(0, 2)).toEqual([
      ['good', 0, 'answers'],
      ['warn', 200, '300 ms'],
    ]);
    expect(lane[2]).toMatchObject(['bad', 900, 'silent']);
    const texts = drawn(more).drawing.events.map(({ text }) => text);
    expect(texts.filter((text) => text.includes('QMP answers'))).toEqual([
      expect.stringMatching(/^QMP answers 2 times until .*, after 3\.0 ms at most$/),
      'QMP answers after 300 ms: running',
    ]);
  });

  it('draws a burst that stalled, and a step that failed, as bad', () => {
    const end = story.timeline().end;
    const more = story.plus(
      { type: 'traffic.begin', t: end + 1, burst: 7, packets: 4, pairs: 1 },
      { type: 'traffic.end', t: end + 2, burst: 7, outcome: 'stalled', missing: [] },
      { type: 'step.begin', t: end + 1, index: 8, verb: 'traffic', params: 4 },
      { type: 'step.end', t: end + 2, index: 8, verb: 'traffic', outcome: 'timeout' },
    );
    expect(spans(more, 'traffic').at(-1)).toMatchObject({ look: 'bad', label: 'stalled', from: end + 1, to: end + 2 });
    expect(spans(more, 'steps').at(-1)).toMatchObject({ look: 'bad', label: '9 traffic' });
  });

  it('keeps what weighs more and is nearer to the evidence of a long timeline, and says what is missing', () => {
    const end = story.timeline().end;
    const kicks = Array.from(
      { length: 2 * MAX_EVENTS },
      (_, i): Timed => ({ type: 'ring.kick', t: end + i, session: 2, ring: 0, count: 1 }),
    );
    const lines = Array.from({ length: 5 }, (_, i): Timed => ({ type: 'qemu.stderr', t: end + i * 50, line: `${i}` }));
    const more = story.plus(...kicks, ...lines);
    const marked = more.timeline().all('ring.kick').at(-1)!.seq;
    const { shown, leftOut, drawing } = drawn(more, [marked]);
    expect(shown).toHaveLength(MAX_EVENTS);
    expect(shown.filter(({ type }) => type === 'qemu.stderr')).toHaveLength(5);
    const kept = shown.filter(({ type }) => type === 'ring.kick').map(({ t }) => t - end);
    expect(Math.min(...kept)).toBeGreaterThan(MAX_EVENTS);
    expect(drawing.events.filter((event) => event.marked)).toHaveLength(1);
    expect(leftOut).toMatch(/^\d+ events left out here \(.*\d+ ring\.kick.*\)$/);
    expect(drawn(story).leftOut).toBeUndefined();
  });

  it('gives what a drill and a guest of its own tell a lane, a look and words', () => {
    const t = story.timeline().end;
    const bodies: Timed[] = [
      { t, type: 'drill.note', text: 'upgraded' },
      { t, type: 'peer.resumed', session: 2 },
      { t, type: 'guest.ready' },
      { t, type: 'guest.echo', from: '10.0.0.2', id: 7, seqs: [[1, 1]], session: 2 },
      { t, type: 'guest.ping', nic: 'eth0', epoch: 1, number: 1, latency: 1 },
      { t, type: 'guest.carrier', nic: 'eth0', up: true },
      { t, type: 'guest.trouble', what: 'oops', line: 'BUG' },
    ];
    const { drawing, shown } = drawn(story.plus(...bodies));
    const rows = bodies.map(({ type }) => {
      const { lane, look, text } = drawing.events[shown.findIndex((event) => event.type === type)]!;
      expect(text).not.toBe('');
      expect(text).not.toContain(type);
      return [type, drawing.lanes[lane], look];
    });
    expect(rows).toEqual([
      ['drill.note', 'steps', 'note'],
      ['peer.resumed', 'peer', 'open'],
      ['guest.ready', 'guest link', 'note'],
      ['guest.echo', 'traffic', 'note'],
      ['guest.ping', 'traffic', 'note'],
      ['guest.carrier', 'guest link', 'note'],
      ['guest.trouble', 'guest link', 'bad'],
    ]);
  });
});
