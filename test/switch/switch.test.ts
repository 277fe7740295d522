import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, Lab, wrongWith } from './lab.js';
import { arp, dhcp, duplicate, echo4, echo6, HOST, solicitation } from './questions.js';

const A = '52 54 00 00 00 0a';
const B = '52 54 00 00 00 0b';
const C = '52 54 00 00 00 0c';
const ALL = 'ff ff ff ff ff ff';
/** An experimental EtherType, which the host says nothing to. */
const frame = (to: string, from: string, tag = '') => bytes(to, from, tag, '88b5', '00'.repeat(46));

describe('switch', () => {
  const three = () => {
    const lab = new Lab();
    return { lab, a: lab.guest('a'), b: lab.guest('b'), c: lab.guest('c') };
  };

  it('floods what it does not know, and sends what it knows to where it is', () => {
    const { lab, a, b, c } = three();
    a.port.receive(frame(B, A));
    expect([a, b, c].map(({ inbox }) => inbox.length)).toEqual([0, 1, 1]);
    b.port.receive(frame(A, B));
    expect([a, b, c].map(({ inbox }) => inbox.length)).toEqual([1, 1, 1]);
    expect(a.inbox).toEqual([frame(A, B)]);
    expect(a.port.counters).toEqual({
      received: 1,
      receivedBytes: 60,
      sent: 1,
      sentBytes: 60,
      flooded: 1,
      dropped: {},
    });
    expect(b.port.counters.flooded).toBe(0);
    expect(lab.notices).toEqual([
      { kind: 'learned', port: 'a', mac: '52:54:00:00:00:0a' },
      { kind: 'learned', port: 'b', mac: '52:54:00:00:00:0b' },
    ]);
  });

  it.each(['', '8100 000a', '88a8 0064 8100 000a'])('sends broadcasts and groups to all others: tag "%s"', (tag) => {
    const { a, b, c } = three();
    for (const group of [ALL, '33 33 00 00 00 01', '01 00 5e 00 00 01']) a.port.receive(frame(group, A, tag));
    expect([a, b, c].map(({ inbox }) => inbox.length)).toEqual([0, 3, 3]);
    expect(b.inbox[0]).toEqual(frame(ALL, A, tag));
    b.port.receive(frame(A, B, tag));
    expect([a, c].map(({ inbox }) => inbox.length)).toEqual([1, 3]);
  });

  it('sends nothing back to where it comes from', () => {
    const { a, b } = three();
    a.port.receive(frame(ALL, A));
    a.port.receive(frame(A, C));
    expect(a.inbox).toEqual([]);
    expect(b.inbox).toHaveLength(1);
    expect(a.port.counters.dropped).toEqual({ 'same-port': 1 });
  });

  it('keeps for itself what is for its host', () => {
    const { a, b } = three();
    a.port.receive(echo4.ask);
    expect(a.inbox).toHaveLength(1);
    expect(b.inbox).toEqual([]);
  });

  it('tells all who asks for the address of the host without one of its own', () => {
    const { a, b, c } = three();
    a.port.receive(duplicate.ask);
    expect([a, b, c].map(({ inbox }) => inbox.length)).toEqual([1, 2, 2]);
  });

  it('follows a station that moves', () => {
    const { lab, a, b, c } = three();
    a.port.receive(frame(ALL, A));
    b.port.receive(frame(ALL, A));
    expect(lab.notices.at(-1)).toEqual({ kind: 'learned', port: 'b', mac: '52:54:00:00:00:0a', from: 'a' });
    c.port.receive(frame(A, C));
    expect(b.inbox.at(-1)).toEqual(frame(A, C));
    expect(a.inbox).toHaveLength(1);
  });

  it('forgets who is not heard for 300 s', () => {
    const { lab, a, b, c } = three();
    a.port.receive(frame(ALL, A));
    lab.clock += 300_000;
    b.port.receive(frame(A, B));
    expect([a, c].map(({ inbox }) => inbox.length)).toEqual([1, 1]);
    lab.clock += 1;
    b.port.receive(frame(A, B));
    expect([a, c].map(({ inbox }) => inbox.length)).toEqual([2, 2]);
    b.port.receive(frame(ALL, A));
    expect(lab.notices.at(-1)).toEqual({ kind: 'learned', port: 'b', mac: '52:54:00:00:00:0a' });
  });

  it('forgets who is behind a port that is disconnected, and ignores it', () => {
    const { lab, a, b, c } = three();
    a.port.receive(frame(ALL, A));
    a.port.disconnect();
    a.port.receive(frame(ALL, A));
    c.port.receive(frame(A, C));
    expect(a.inbox).toEqual([]);
    expect(a.port.counters.received).toBe(1);
    expect(b.inbox).toHaveLength(2);
    const again = lab.guest('a');
    b.port.receive(frame(A, B));
    expect(again.inbox).toHaveLength(1);
  });

  it('disconnects a guest that leaves in the middle of a flood', () => {
    const lab = new Lab();
    const a = lab.guest('a');
    const leaves = lab.switch.connect('b', () => last.port.disconnect());
    const last = lab.guest('c');
    a.port.receive(frame(ALL, A));
    expect(leaves.counters.sent).toBe(1);
    expect(last.inbox).toEqual([]);
  });

  it('has one port of a name', () => {
    const lab = new Lab();
    lab.guest('a');
    expect(() => lab.guest('a')).toThrow(/"a" is connected/);
  });

  it.each<[string, Buffer]>([
    ['runt', bytes(ALL, A, '08')],
    ['runt', bytes(ALL, A, '8100 0001')],
    ['runt', Buffer.alloc(0)],
    ['multicast-source', frame(B, '53 54 00 00 00 0a')],
    ['multicast-source', frame(B, ALL)],
    ['host-source', frame(B, HOST)],
    ['reserved', frame('01 80 c2 00 00 0e', A)],
  ])('drops and counts: %s', (reason, bad) => {
    const { a, b } = three();
    a.port.receive(bad);
    expect(b.inbox).toEqual([]);
    expect(a.port.counters).toMatchObject({ received: 1, receivedBytes: bad.length, dropped: { [reason]: 1 } });
  });

  it('learns nothing from a source that cannot be one', () => {
    const { lab, a, b } = three();
    a.port.receive(frame(B, HOST));
    a.port.receive(frame(B, ALL));
    expect(lab.notices).toEqual([]);
    b.port.receive(echo4.ask);
    expect(b.inbox).toHaveLength(1);
  });
});

/** Bytes as guests send them: anything, and good frames with some bytes changed, cut or doubled. */
const questions = [
  ...[arp, echo4, echo6, solicitation, duplicate].map(({ ask }) => ask),
  dhcp('350101'),
  dhcp('350103 32040a490064'),
];
const broken = fc
  .record({
    frame: fc.constantFrom(...questions),
    changes: fc.array(fc.tuple(fc.nat(1000), fc.nat(255)), { maxLength: 4 }),
    length: fc.option(fc.nat(400), { nil: undefined }),
  })
  .map(({ frame: good, changes, length }) => {
    const copy = Buffer.from(good);
    for (const [at, value] of changes) copy[at % copy.length] = value;
    return copy.subarray(0, length ?? copy.length);
  });
const junk = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));

describe('whatever guests send', () => {
  it('nothing throws, no frame comes back, and each answer of the host is well-formed', () => {
    let answers = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(0, 1, 2), fc.oneof(junk, broken)), { minLength: 1, maxLength: 30 }),
        (list) => {
          const lab = new Lab({ dhcp: true });
          const guests = ['a', 'b', 'c'].map((name) => lab.guest(name));
          for (const [index, sent] of list) {
            const before = guests.map(({ inbox }) => inbox.length);
            const copy = Buffer.from(sent);
            guests[index]!.port.receive(sent);
            expect(sent).toEqual(copy);
            for (const [i, { inbox }] of guests.entries()) {
              const got = inbox.slice(before[i]);
              expect(got.length).toBeLessThanOrEqual(2);
              for (const one of got) {
                if (one === sent) expect(i).not.toBe(index);
                else {
                  answers++;
                  expect(one.subarray(6, 12)).toEqual(bytes(HOST));
                  expect(wrongWith(one)).toEqual([]);
                }
              }
            }
          }
          const counters = guests.map(({ port }) => port.counters);
          expect(counters.reduce((sum, { received }) => sum + received, 0)).toBe(list.length);
        },
      ),
      { numRuns: 500 },
    );
    expect(answers).toBeGreaterThan(100);
  });
});
