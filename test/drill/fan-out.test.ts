import { expect, test } from 'vitest';
import { FanOut } from '../../src/drill/fan-out.js';
import { type Event, Recorder } from '../../src/timeline/index.js';

test('what happens to the QEMU is in the record of every port, and what happens to a port in its own', () => {
  const first = new Recorder();
  const [second, third] = [new Recorder({ like: first }), new Recorder({ like: first })];
  const all = new FanOut([first, second, third]);
  second.record({ type: 'driver.kick', ring: 1 });
  const heard: Event[] = [];
  const end = all.listen((event) => heard.push(event));
  const event = all.record({ type: 'qmp.ready' });
  expect(event).toBe(first.events[0]);
  expect(first.events.map(({ type }) => type)).toEqual(['qmp.ready']);
  expect(second.events.map(({ type, seq }) => [type, seq])).toEqual([
    ['driver.kick', 0],
    ['qmp.ready', 1],
  ]);
  expect(third.events.map(({ type }) => type)).toEqual(['qmp.ready']);
  // Heard once, not once a port.
  expect(heard).toEqual([event]);
  expect(all.latest('qmp.ready')).toBe(event);
  expect(all.latest('driver.kick')).toBeUndefined();
  const [before, now, after] = [first.now(), all.now(), first.now()];
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(after);
  end();
  all.record({ type: 'run.end' });
  expect(heard).toHaveLength(1);
});

test('what is of one port alone is in its record only', () => {
  const first = new Recorder();
  const second = new Recorder({ like: first });
  const all = new FanOut([first, second], (body) => (body.type === 'qemu.stderr' ? second : undefined));
  const event = all.record({ type: 'qemu.stderr', line: 'of the second' });
  expect(second.events).toEqual([event]);
  expect(first.events).toEqual([]);
});
