import { describe, expect, it } from 'vitest';
import { adding, removals, withoutChardev, withoutNetdev, withoutSocket } from '../../src/contract/removal.js';
import { command, deleted } from './removal-story.js';
import { Story, type Timed } from './timeline-builder.js';

const all = (...events: Timed[][]) => new Story(events.flat()).timeline();

describe('removals', () => {
  it('are from netdev_del to the commands that add chardev and netdev', () => {
    const t = all(
      command(10, 1, 'netdev_del', 'n0'),
      command(20, 2, 'chardev-add', 'c0'),
      command(30, 3, 'netdev_add', 'n0', { takes: 500 }),
    );
    expect(withoutChardev(t)).toEqual([{ from: 10, to: 20 }]);
    expect(withoutSocket(t)).toEqual([{ from: 10, to: 21 }]);
    expect(withoutNetdev(t)).toEqual([{ from: 10, to: 30 }]);
    expect(adding(t)).toEqual([{ from: 30, to: 530 }]);
  });

  it('go on where nothing is added, or nothing came of it', () => {
    const t = all(command(10, 1, 'netdev_del', 'n0'), command(20, 2, 'netdev_add', 'n0', { error: 'no chardev' }));
    expect([withoutChardev(t), withoutNetdev(t)]).toEqual([[{ from: 10, to: Infinity }], [{ from: 10, to: Infinity }]]);
    expect(adding(t)).toEqual([]);
  });

  it('are none where QEMU refused, never answered, or was asked for another netdev', () => {
    expect(removals(all(command(10, 1, 'netdev_del', 'n0', { error: 'is a netdev for vhostuser' })))).toEqual([]);
    expect(removals(all(command(10, 1, 'netdev_del', 'n0').slice(0, 1)))).toEqual([]);
    expect(removals(all(command(10, 1, 'netdev_del', 'n7')))).toEqual([]);
  });

  it('are told apart where there are several', () => {
    const t = all(
      command(10, 1, 'netdev_del', 'n0'),
      command(20, 2, 'netdev_add', 'n0'),
      command(30, 3, 'netdev_del', 'n0'),
    );
    expect(withoutNetdev(t)).toEqual([
      { from: 10, to: 20 },
      { from: 30, to: Infinity },
    ]);
  });

  it('leave nothing from the answer on, or from the end of the device that uses the netdev', () => {
    const gone = (...events: Timed[][]) => removals(all(...events))[0]!.gone?.t;
    expect(gone(deleted(5), command(10, 1, 'netdev_del', 'n0'))).toBe(11);
    expect(gone(command(10, 1, 'netdev_del', 'n0'), deleted(50))).toBe(50);
    expect(gone(command(10, 1, 'netdev_del', 'n0'))).toBeUndefined();
    const again = [deleted(5), command(7, 1, 'device_add', 'nic'), command(10, 2, 'netdev_del', 'n0')];
    expect(gone(...again)).toBeUndefined();
    expect(gone(...again, deleted(60))).toBe(60);
  });
});
