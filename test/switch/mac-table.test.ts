import { describe, expect, it } from 'vitest';
import { MacTable } from '../../src/switch/mac-table.js';

describe('MacTable', () => {
  it('holds 8192, and forgets who was silent longest', () => {
    const table = new MacTable<string>();
    for (let mac = 0; mac < 8192; mac++) table.learn(mac, 'a', mac);
    table.learn(0, 'a', 9000);
    table.learn(8192, 'a', 9001);
    expect(table.size).toBe(8192);
    expect([0, 1, 2, 8192].map((mac) => table.find(mac, 9001))).toEqual(['a', undefined, 'a', 'a']);
  });

  it('keeps nobody who has aged, even if nobody asks', () => {
    const table = new MacTable<string>();
    for (let mac = 0; mac < 100; mac++) table.learn(mac, 'a', mac);
    table.learn(100, 'a', 300_050);
    expect(table.size).toBe(51);
  });

  it('says where a station was before', () => {
    const table = new MacTable<string>();
    expect(table.learn(1, 'a', 0)).toBeUndefined();
    expect(table.learn(1, 'b', 1)).toBe('a');
    table.forget('a');
    expect(table.find(1, 1)).toBe('b');
    table.forget('b');
    expect(table.find(1, 1)).toBeUndefined();
  });
});
