import { describe, it } from 'vitest';
import type { Hex } from '../../src/timeline/index.js';
import { PACKED_FRESH_BASE } from '../../src/virtio/index.js';
import { bit, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS } from '../../src/wire/index.js';
import { ACCEPTED, FORWARDED, hex, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import { packed, at as place } from './packed-story.js';
import type { Story, Timed } from './timeline-builder.js';

const good = server({ pairs: 2 });
const loss = good.find('session.close');
const message =
  (session: number, name: string, ring?: number) => (e: { session: number; name: string; body: unknown }) =>
    e.session === session && e.name === name && (ring === undefined || (e.body as { index?: number }).index === ring);
const at = (session: number, name: string, ring?: number) => good.find('wire.recv', message(session, name, ring));
/** Moves one message in time. */
const moved = (story: Story, test: (e: { session: number; name: string; body: unknown }) => boolean, t: number) =>
  story.with('wire.recv', test, { t });

describe('R20 rings are set up for a driver', () => {
  it('holds', () => expectHold('R20', good, /8 rings started in 2 sessions/));
  it('holds without a driver when no ring is set up', () =>
    expectHold('R20', server({ driver: 'none' }), /no ring was set up without a driver/));
  it('holds with SET_VRING_ENABLE after the rings, as QEMU 5.2 has it', () => {
    const last = good.find('wire.recv', message(2, 'SET_VRING_CALL', 3), -1);
    expectHold('R20', moved(good, message(2, 'SET_VRING_ENABLE'), last.t + 0.05));
  });
  it('holds with ADDR before BASE', () =>
    expectHold('R20', moved(good, message(2, 'SET_VRING_ADDR', 1), at(2, 'SET_VRING_BASE', 1).t - 0.05)));

  it('breaks when a ring is set up without a driver', () => {
    const undriven = server({ driver: 'none' }).plus({ ...at(2, 'SET_FEATURES'), t: loss.t - 10, session: 1 });
    expectBreak('R20', undriven, 'violation', /SET_FEATURES .* without a driver/);
  });
  it('breaks when it goes on after a reset of the driver, but not at the same moment', () => {
    const reset = (t: number) => good.plus({ t, type: 'driver.reset' });
    expectBreak('R20', reset(loss.t + 10), 'violation', /session 2: SET_FEATURES .* without a driver/);
    expectHold('R20', reset(at(2, 'SET_FEATURES').t - 0.05));
  });
  it('breaks when a part comes before what it builds on', () => {
    const memory = at(2, 'SET_MEM_TABLE');
    expectBreak(
      'R20',
      moved(good, message(2, 'SET_MEM_TABLE'), at(2, 'SET_FEATURES').t - 0.05),
      'violation',
      /before SET_FEATURES/,
    );
    expectBreak(
      'R20',
      moved(good, message(2, 'SET_VRING_NUM', 0), memory.t - 0.05),
      'violation',
      /before the memory table/,
    );
    expectBreak(
      'R20',
      good.without('wire.recv', message(2, 'SET_VRING_BASE', 1)),
      'violation',
      /of ring 1 without SET_VRING_BASE/,
    );
  });
  it('breaks when a ring gets no call descriptor after its kick', () => {
    const kick = at(2, 'SET_VRING_KICK', 0);
    const silent = good.without('wire.recv', (e) => message(2, 'SET_VRING_CALL', 0)(e) && e.t > kick.t);
    expectBreak('R20', silent, 'violation', /SET_VRING_NUM .* before SET_VRING_CALL of ring 0/);
  });
  it('breaks when rings are started late or not at all', () => {
    expectBreak('R20', good.stretch(at(2, 'SET_FEATURES').t, 2500), 'violation', /started ring 0 only after 25\d\d ms/);
    const stopped = good.only((e) => e.t < at(2, 'SET_FEATURES').t || e.t > at(2, 'SET_VRING_KICK', 3).t + 2);
    const missing = stopped.stretch(at(2, 'SET_FEATURES').t + 3, 3000);
    expectBreak('R20', missing, 'violation', /did not start ring 0 in/);
    expectHold('R20', missing.plus({ t: loss.t + 1, type: 'qmp.command', id: 1, execute: 'stop' }));
  });
  it('does not take a start that was under way when the driver reset for one of the next driver', () => {
    const start = good.find('ring.start', ({ session }) => session === 2);
    const renewed = good
      .stretch(start.t + 20, 3000)
      .plus(
        { t: start.t - 0.05, type: 'driver.reset' },
        { ...good.find('driver.features'), t: start.t + 10 },
        { ...good.find('driver.ready'), t: start.t + 15 },
      );
    expectBreak('R20', renewed, 'violation', /session 2: QEMU did not start ring 0 in 3\d\d\d ms/);
  });
  it('says nothing when no handshake was completed with a driver up', () =>
    expectNotApplicable(
      'R20',
      good.without('ring.start').only((e) => e.t < good.find('qmp.ready').t || e.type === 'driver.ready'),
    ));
});

/** The second session's rings stop in order, and start again on the same connection; `last` tells what is left out. */
const again = (left: (name: string) => boolean = () => false): Story => {
  const from = at(2, 'SET_VRING_ENABLE', 0).t;
  const to = good.find('wire.recv', message(2, 'SET_VRING_CALL', 3), -1).t;
  const part = good.events.filter((e) => e.t >= from && e.t <= to && 'session' in e && e.session === 2);
  const stops = good.events.filter(
    (e) => e.t > to && 'session' in e && e.session === 2 && 'name' in e && e.name === 'GET_VRING_BASE',
  );
  const quit = good.find('qmp.command').t;
  const stopped = stops.map((e) => ({ ...e, t: e.t - 200 }));
  const restarted = part
    .filter((e) => !(e.type === 'wire.recv' && left(e.name)))
    .map((e) => ({ ...e, t: e.t - from + quit - 150 }));
  return good.plus(...stopped, ...restarted);
};

describe('R20 rings that are stopped in order', () => {
  it('holds when features and memory are sent anew', () => expectHold('R20', again()));
  it('breaks when they are not', () => {
    expectBreak(
      'R20',
      again((name) => name === 'SET_FEATURES'),
      'violation',
      /SET_MEM_TABLE .* before SET_FEATURES/,
    );
    expectBreak(
      'R20',
      again((name) => name === 'SET_MEM_TABLE'),
      'violation',
      /SET_VRING_NUM .* before the memory table/,
    );
  });
  it('breaks when they stay stopped though nothing holds them back any more', () => {
    const t = good.find('qmp.command').t - 50;
    const stops = good.events.filter((e) => e.type === 'ring.stop' && e.session === 2).map((e) => ({ ...e, t: t + 5 }));
    const stop = { t, type: 'qmp.command', id: 70, execute: 'stop' } as const;
    const cont = { ...stop, t: t + 10, id: 71, execute: 'cont' } as const;
    const stays = good.plus(stop, ...stops).stretch(t + 20, 3000);
    expectBreak(
      'R20',
      stays.plus(cont),
      'violation',
      /session 2: QEMU stopped ring 0 and did not start it again in 30\d\d ms/,
    );
    expectHold('R20', stays);
    const starts = good.events.filter((e) => e.type === 'ring.start' && e.session === 2);
    expectHold('R20', stays.plus(cont, ...starts.map((e) => ({ ...e, t: t + 15 }))));
    // Rings that a reset stopped are nobody's, and so are those of a netdev that was removed.
    expectHold('R20', stays.plus(cont, { t, type: 'driver.reset' }));
    const removed = { ...stop, t: t + 1, id: 72, execute: 'netdev_del', arguments: { id: 'n0' } } as const;
    const done = { t: t + 2, type: 'qmp.reply', id: 72, execute: 'netdev_del', latency: 1, value: {} } as const;
    expectHold('R20', stays.plus(cont, removed, done));
  });
  it('holds when a table that is told in changes did not change', () => {
    const added = again((name) => name === 'SET_MEM_TABLE').with('wire.recv', message(2, 'SET_MEM_TABLE'), {
      name: 'ADD_MEM_REG',
    });
    expectHold('R20', added);
  });
});

describe('R23 the features reach the peer', () => {
  const sent = (value: bigint, ring?: 'last') => {
    const all = good.events.filter((e) => e.type === 'wire.recv' && e.name === 'SET_FEATURES' && e.session === 2);
    const target = all.at(ring === 'last' ? -1 : 0)!;
    return good.with('wire.recv', (e) => e.t === target.t, { body: { value: hex(value) } });
  };

  it('holds', () => expectHold('R23', good, /4 SET_FEATURES as the guest accepted/));
  it('holds with bits that only newer QEMUs pass on', () =>
    expectHold(
      'R23',
      good.with('wire.recv', ({ name }) => name === 'SET_FEATURES', { body: { value: hex(FORWARDED | 0x10000n) } }),
    ));
  it("breaks when a bit of the guest's is missing", () => {
    expectBreak('R23', sent(FORWARDED & ~(1n << 32n)), 'violation', /lacks VIRTIO_F_VERSION_1/);
    expectBreak('R23', sent(1n << 30n, 'last'), 'violation', /lacks VIRTIO_NET_F_CSUM.*and 1 more/);
    expectBreak('R23', sent(FORWARDED & ~(1n << 30n)), 'violation', /lacks VHOST_USER_F_PROTOCOL_FEATURES/);
  });
  it('breaks when there is a bit that the guest did not accept', () =>
    expectBreak(
      'R23',
      sent(FORWARDED | (1n << 21n)),
      'violation',
      /has VIRTIO_NET_F_GUEST_ANNOUNCE, which the guest did not accept/,
    ));
  it('breaks when queue pairs differ', () =>
    expectBreak('R23', sent(FORWARDED | (1n << 16n), 'last'), 'violation', /differs from 0x/));
  it('allows the log bit while logging only', () => {
    const log = sent(FORWARDED | (1n << 26n));
    expectBreak('R23', log, 'violation', /has VHOST_F_LOG_ALL/);
    expectHold('R23', log.plus({ t: loss.t, type: 'qmp.command', id: 1, execute: 'migrate' }));
  });
  it('compares with what the guest negotiated last', () => {
    const other = hex(ACCEPTED & ~(1n << 15n));
    const renewed = good.plus(
      { t: loss.t + 10, type: 'driver.reset' },
      { t: loss.t + 20, type: 'driver.features', offered: other, accepted: other },
    );
    expectBreak('R23', renewed, 'violation', /session 2: SET_FEATURES .* has VIRTIO_NET_F_MRG_RXBUF/);
  });
  it('says nothing without a driver', () => expectNotApplicable('R23', server({ driver: 'none' })));
});

describe('R24 rings go on where they stopped', () => {
  const start = (ring: number, patch: object) =>
    good.with('ring.start', (e) => e.session === 2 && e.ring === ring, patch);

  it('holds', () => expectHold('R24', good, /8 starts of rings at the right index, 4 of them restarts/));
  it('breaks when a lost ring does not go on at the used index', () =>
    expectBreak('R24', start(1, { base: 0 }), 'violation', /ring 1 starts at 0, expected 64 \(the used index\)/));
  it('breaks when a fresh ring does not start at 0', () =>
    expectBreak(
      'R24',
      good.with('ring.start', (e) => e.session === 1 && e.ring === 2, { base: 7 }),
      'violation',
      /expected 0 \(a fresh ring\)/,
    ));
  it('starts at 0 after a reset, or where QEMU itself used the ring', () => {
    const reset = start(1, { base: 0, usedIdx: 0 }).plus(
      { t: loss.t + 10, type: 'driver.reset' },
      { ...good.find('driver.features'), t: loss.t + 20 },
    );
    expectHold(
      'R24',
      reset.with('ring.start', (e) => e.session === 2, { base: 0, usedIdx: 0 }),
    );
    const touched = reset
      .with(
        'ring.start',
        (e) => e.session === 2,
        (e) => (e.ring === 1 ? { base: 5, usedIdx: 5 } : { base: 0 }),
      )
      .plus(
        { t: loss.t + 40, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[200, 204]] },
        { t: loss.t + 50, type: 'packets.completed', dir: 'tx', pair: 0, seqs: [[200, 204]] },
      );
    expectHold('R24', touched);
    const stale = touched.with('ring.start', (e) => e.session === 2 && e.ring === 3, { base: 64, usedIdx: 0 });
    expectBreak('R24', stale, 'violation', /ring 3 starts at 64, expected 0 \(a fresh ring\)/);
  });
  it('expects a start that was under way when the driver reset where the ring was, and the next at 0', () => {
    const rings = good.find('ring.start', ({ session, ring }) => session === 2 && ring === 0).t;
    const racing = good.plus({ t: rings - 0.05, type: 'driver.reset' });
    expectHold('R24', racing, /4 of them restarts/);
    const renewed = racing.plus(
      { ...good.find('driver.features'), t: rings + 100 },
      ...[0, 1, 2, 3].map((ring) => ({
        ...good.find('ring.start', (e) => e.session === 2 && e.ring === ring),
        ...{ t: rings + 110, base: 0, usedIdx: 0 },
      })),
    );
    expectHold('R24', renewed, /12 starts/);
    const kept = renewed.with('ring.start', (e) => e.t === rings + 110 && e.ring === 1, { base: 64 });
    expectBreak('R24', kept, 'violation', /ring 1 starts at 64, expected 0/);
  });
  it('accepts what GET_VRING_BASE returned, or the used index, after an orderly stop', () => {
    const reply = good.find('wire.send', ({ name }) => name === 'GET_VRING_BASE');
    const stop = { ...reply, t: loss.t - 5, session: 1, body: { index: 1, num: 70 } };
    for (const base of [64, 70]) expectHold('R24', start(1, { base }).plus(stop));
    expectBreak('R24', start(1, { base: 3 }).plus(stop), 'violation', /expected 70 or 64/);
  });
  it('counts modulo 2^16', () => expectHold('R24', start(1, { base: 64, usedIdx: 65600 })));
  it('says nothing without a ring', () => expectNotApplicable('R24', server({ driver: 'none' })));
});

describe('packed rings', () => {
  const rings = packed(good);
  const start = (ring: number, patch: object) =>
    rings.with('ring.start', (e) => e.session === 2 && e.ring === ring, patch);
  /** What a real QEMU does: it knows no better than where each ring had started. */
  const stale = rings.with('ring.start', (e) => e.session === 2, { base: PACKED_FRESH_BASE, available: false });
  /** Ring 1 is stopped in order shortly before the loss, at 70. */
  const stopped = (num: number) => {
    const reply = good.find('wire.send', ({ name }) => name === 'GET_VRING_BASE');
    return { ...reply, t: loss.t - 5, session: 1, body: { index: 1, num } };
  };

  it('R24 holds where they go on where they stopped, or where they had started before', () => {
    expectHold('R24', rings, /8 starts of rings at the right index, 4 of them restarts$/);
    expectHold('R24', stale, /4 of them restarts; 4 packed after a loss where they had started before/);
  });
  it('R24 breaks when one goes on elsewhere after a loss', () => {
    for (const base of [0, place(1), place(63), place(65)])
      expectBreak(
        'R24',
        start(1, { base }),
        'violation',
        /ring 1 starts at 0x\S+ \(.*\), expected 0x80008000 \(index 0, wrap counter 1\) \(where it started before, or where it stopped\)/,
      );
  });
  it('R24 breaks when a fresh one does not start at 0 with both wrap counters set', () => {
    for (const base of [0, 0x8000, place(1)])
      expectBreak(
        'R24',
        rings.with('ring.start', (e) => e.session === 1 && e.ring === 2, { base }),
        'violation',
        /expected 0x80008000 \(index 0, wrap counter 1\) \(a fresh ring\)/,
      );
  });
  it('R24 wants the whole of what GET_VRING_BASE returned after an orderly stop, to the last bit', () => {
    for (const num of [place(70), place(70) & 0xffff, place(300)]) {
      expectHold('R24', start(1, { base: num }).plus(stopped(num)));
      for (const base of [
        place(64),
        PACKED_FRESH_BASE,
        (num ^ 0x8000_0000) >>> 0,
        (num ^ 0x1_0000) >>> 0,
        num ^ 0x8000,
      ])
        expectBreak('R24', start(1, { base }).plus(stopped(num)), 'violation', /what GET_VRING_BASE returned/);
    }
  });
  it('R24 lets them go on behind what QEMU used itself', () => {
    const unseen: Timed = { t: loss.t + 20, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[900, 902]] };
    for (const base of [place(70), place(73), place(76)])
      expectHold('R24', start(1, { base }).plus(stopped(place(70)), unseen));
    expectBreak('R24', start(1, { base: place(77) }).plus(stopped(place(70)), unseen), 'violation', /ring 1/);
    expectBreak('R24', start(0, { base: place(65) }).plus(unseen), 'violation', /ring 0/);
  });

  it('R38 holds where they go on where they stopped, and is about losses of packed rings only', () => {
    expectHold('R38', rings, /4 packed rings restarted where the lost peer had got to/);
    expectNotApplicable('R38', good);
    expectNotApplicable('R38', packed(server({ away: [] })));
  });
  it('R38 breaks when they go on where they had started', () => {
    expectBreak(
      'R38',
      stale,
      'violation',
      /session 2: ring 0 starts at 0x80008000 .* and had stopped at 0x80408040 \(index 64, wrap counter 1\), where nothing is available \(and 3 more\)/,
    );
  });

  it('R26 breaks when the guest is asked not to kick', () => {
    expectHold('R26', rings);
    expectHold('R26', start(1, { eventFlags: 2 }));
    expectBreak(
      'R26',
      start(1, { eventFlags: 1 }),
      'violation',
      /session 2: ring 1 starts with DISABLE in the device's event suppression/,
    );
  });

  it('T1 does not count a stall where QEMU could not know the place, only there', () => {
    const end = rings.find('traffic.end', () => true, -1);
    const stalled = (story: Story, ...dirs: ('tx' | 'rx')[]) =>
      story
        .with('traffic.end', (e) => e.t === end.t, {
          outcome: 'stalled',
          missing: dirs.map((dir) => ({ dir, pair: 1, seqs: [[64, 127]] as [number, number][] })),
        })
        .stretch(end.t, 3000);
    expectHold('T1', stalled(stale, 'tx', 'rx'), /1 burst flowed .*; 1 burst stalled on packed rings at a stale base/);
    expectBreak('T1', stalled(rings, 'tx'), 'violation', /64 TX of pair 1 missing/);
    const half = rings.with('ring.start', (e) => e.session === 2 && e.ring === 3, { base: PACKED_FRESH_BASE });
    expectHold('T1', stalled(half, 'tx'), /1 burst stalled/);
    expectBreak('T1', stalled(half, 'tx', 'rx'), 'violation', /: 64 RX of pair 1 missing/);
  });
  it('T2 does not call lost what waits where QEMU could not know the place', () => {
    const waiting: Timed = { t: loss.t + 3300, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[900, 901]] };
    const quit = good.find('qmp.command').t;
    expectHold('T2', stale.plus(waiting).stretch(quit, 2000), /2 in flight at the end/);
    expectBreak('T2', rings.plus(waiting).stretch(quit, 2000), 'violation', /2 packets lost: TX of pair 0/);
  });
});

describe("R25 rings and memory are the guest's", () => {
  const table = (regions: object[], fds = regions.length) =>
    good.with('wire.recv', message(2, 'SET_MEM_TABLE'), { body: { regions: regions as never }, fds });
  const whole = { guestAddr: '0x0', size: '0x4000000', userAddr: '0x7f0000000000', mmapOffset: '0x0' };

  it('holds, however RAM is cut', () => {
    expectHold('R25', good, /8 ring set-ups/);
    expectHold('R25', table([whole]));
  });
  it('holds with regions added one by one', () => {
    const memory = at(2, 'SET_MEM_TABLE');
    const half = { ...whole, size: '0x2000000' };
    const rest = { ...half, guestAddr: '0x2000000', userAddr: '0x7f0002000000' };
    const added = good
      .with('wire.recv', message(2, 'SET_MEM_TABLE'), { name: 'ADD_MEM_REG', body: { region: half }, fds: 1 })
      .plus({ ...memory, t: memory.t + 0.05, name: 'ADD_MEM_REG', body: { region: rest }, fds: 1 });
    expectHold('R25', added);
  });
  it('breaks when size or addresses differ', () => {
    expectBreak(
      'R25',
      good.with('wire.recv', message(2, 'SET_VRING_NUM', 1), { body: { index: 1, num: 128 } }),
      'violation',
      /ring 1: size 128, the driver's is 256/,
    );
    const addr = at(2, 'SET_VRING_ADDR', 1).body as object;
    const wrong = (used: string) =>
      good.with('wire.recv', message(2, 'SET_VRING_ADDR', 1), { body: { ...addr, used } as never });
    expectBreak('R25', wrong('0x7f0000300000'), 'violation', /used at 0x300000, the driver's is at 0x212000/);
    expectBreak('R25', wrong('0x1000'), 'violation', /used at nowhere/);
  });
  const dimm = { addr: 0x1_0000_0000, size: 64 << 20, id: 'dimm', memdev: '/objects/more' };
  const asked = {
    type: 'qmp.reply' as const,
    id: 1,
    execute: 'query-memory-devices',
    latency: 1,
    value: [{ type: 'dimm', data: dimm }],
  };
  it('breaks when RAM or descriptors are missing', () => {
    expectBreak('R25', table([{ ...whole, size: '0x3000000' }]), 'violation', /lacks guest RAM at 0x3000000/);
    const start = good.find('wire.recv', ({ name }) => name === 'SET_VRING_ADDR').t;
    const plugged = good.plus({ ...asked, t: start - 1 });
    expectBreak('R25', plugged, 'violation', /lacks guest RAM at 0x100000000/);
    expectBreak('R25', table([whole], 0), 'violation', /0 file descriptors for 1 region/);
  });
  it('breaks when what is plugged while rings run is not shared, or late', () => {
    const t = good.find('qmp.command').t - 50;
    const plugged = good.plus({ ...asked, t });
    expectHold('R25', plugged);
    const long = plugged.stretch(t + 1, 3000);
    expectBreak('R25', long, 'violation', /^session 2: memory plugged at 0x100000000 was not shared in 3\d\d\d ms/);
    const memory = at(2, 'SET_MEM_TABLE');
    const more = { guestAddr: '0x100000000', size: '0x4000000', userAddr: '0x7e0000000000', mmapOffset: '0x0' };
    const sent = { ...memory, body: { regions: [whole, more] }, fds: 2 };
    expectHold('R25', long.plus({ ...sent, t: t - 1 }));
    expectHold('R25', long.plus({ ...sent, t: t + 500 }));
    expectBreak('R25', long.plus({ ...sent, t: t + 1500 }), 'violation', /was not shared in 1500 ms of running rings/);
    const stopped: Timed[] = [0, 1, 2, 3].map((ring) => ({
      type: 'ring.stop',
      t: t + 10,
      session: 2,
      ring,
      base: 128,
    }));
    expectHold('R25', long.plus(...stopped));
    const few = { ...good.find('wire.send', ({ name }) => name === 'GET_QUEUE_NUM'), name: 'GET_MAX_MEM_SLOTS' };
    const offer = (e: { name: string; session: number }) => e.name === 'GET_PROTOCOL_FEATURES' && e.session === 2;
    const slots = (value: Hex) =>
      long
        .with('wire.send', offer, { body: { value: hex(bit(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) } })
        .plus({ ...few, t: memory.t - 1, session: 2, body: { value } });
    expectHold('R25', slots('0x2'));
    expectBreak('R25', slots('0x3'), 'violation', /was not shared/);
  });
  it('compares with the driver of the moment, which may report after the set-up', () => {
    const ready = good.find('driver.ready');
    const rings = ready.rings.map((ring) => ({ ...ring, size: 128 }));
    const renewed = good.plus(
      { t: loss.t + 10, type: 'driver.reset' },
      { ...ready, t: at(2, 'SET_STATUS').t + 20, rings },
    );
    expectBreak('R25', renewed, 'violation', /size 256, the driver's is 128/);
  });
  it('says nothing without a driver', () => expectNotApplicable('R25', server({ driver: 'none' })));
});

describe('R26 kicks and calls', () => {
  const kick = good.find('driver.kick', () => true, -1);
  const call = good.find('ring.call', ({ session }) => session === 2);

  it('breaks when two rings share an eventfd', () => {
    const named = good.with('wire.recv', ({ name, session }) => name === 'SET_VRING_CALL' && session === 2, {
      eventfd: 7,
    });
    expectBreak(
      'R26',
      named,
      'violation',
      /session 2: SET_VRING_CALL of ring 1 came with the eventfd of SET_VRING_CALL of ring 0/,
    );
    // The same again for the same ring, and nothing where the kernel does not tell.
    const once = named.without(
      'wire.recv',
      ({ name, session, body }) =>
        name === 'SET_VRING_CALL' && session === 2 && (body as { index?: number }).index !== 0,
    );
    expectHold('R26', once);
  });

  it('holds', () => expectHold('R26', good, /32 descriptors, 4 kicks arrived, 4 interrupts/));
  it('breaks when the guest is asked not to kick', () => {
    const muted = good.with('ring.start', ({ session, ring }) => session === 2 && ring === 1, { usedFlags: 1 });
    expectBreak('R26', muted, 'violation', /session 2: ring 1 starts with NO_NOTIFY in its used ring/);
  });

  it('breaks when a descriptor is missing', () => {
    expectBreak(
      'R26',
      good.with('wire.recv', message(2, 'SET_VRING_KICK', 0), { fds: 0 }),
      'violation',
      /SET_VRING_KICK of ring 0 came without/,
    );
    expectBreak(
      'R26',
      good.with('wire.recv', message(2, 'SET_VRING_CALL', 0), { body: { index: 0, noFd: true } }),
      'violation',
      /SET_VRING_CALL of ring 0/,
    );
    expectBreak(
      'R26',
      good.with('wire.recv', message(2, 'SET_VRING_ERR', 0), { fds: 0 }),
      'violation',
      /SET_VRING_ERR of ring 0 came without/,
    );
  });
  it('breaks when a kick is late or lost', () => {
    expectBreak('R26', good.stretch(kick.t + 0.05, 1500), 'violation', /kick of ring 3 arrived only after 1500 ms/);
    const deaf = good.without('ring.kick', ({ t }) => t > kick.t).stretch(kick.t + 5, 1500);
    expectBreak('R26', deaf, 'violation', /kick of ring 3 did not arrive in/);
  });
  it('does not mind kicks while no peer is there', () =>
    expectHold('R26', good.plus({ t: loss.t + 20, type: 'driver.kick', ring: 1 }), /4 kicks/));
  it('breaks when the calls of a session interrupt nobody', () => {
    const mute = good.without('driver.interrupt', ({ t }) => t > call.t).stretch(call.t + 20, 1500);
    expectBreak('R26', mute, 'violation', /session 2: the call of ring 0 brought the guest no interrupt/);
  });
  it('breaks when a later call interrupts nobody, though the peer left since', () => {
    const second = good.find('ring.call', ({ ring }) => ring === 2);
    const mute = good.without('driver.interrupt', ({ t }) => t > second.t && t < loss.t);
    expectBreak('R26', mute, 'violation', /session 1: the call of ring 2 brought the guest no interrupt in 3\d{3} ms/);
    // It is the next one's interrupt that counts, whatever it was raised for.
    const soon = { t: loss.t + 20, type: 'driver.interrupt' as const, isr: 3 };
    expectHold('R26', mute.plus(soon), /4 interrupts/);
    expectHold('R26', mute.plus({ t: loss.t + 20, type: 'driver.reset' }));
  });
  it('does not mind a guest that takes its time with the interrupt', () => {
    const interrupt = good.find('driver.interrupt', ({ t, isr }) => t > call.t && (isr & 1) !== 0);
    const late = good.stretch(interrupt.t - 0.05, 1500);
    expectBreak('R26', late, 'violation', /session 2: the call of ring 0 brought the guest no interrupt in 15\d\d ms/);
    const busy = late.with('driver.interrupt', ({ t }) => t > call.t, { raised: call.t + 1 });
    expectHold('R26', busy, /4 interrupts/);
  });
  it('says nothing without any descriptor', () =>
    expectNotApplicable(
      'R26',
      good.without('wire.recv', ({ name }) => /^SET_VRING_(KICK|CALL|ERR)$/.test(name)),
    ));
});

describe('R27 rings in use are enabled', () => {
  const enable = (session: number, ring: number) => (e: { session: number; ring: number }) =>
    e.session === session && e.ring === ring;
  const never = server({ away: [200] })
    .without('ring.enable', enable(2, 1))
    .with('ring.start', enable(2, 1), { enabled: false })
    .without('ring.stop', enable(2, 1))
    .without('qmp.command')
    .without('qemu.exit')
    .without('session.close', ({ session }) => session === 2);

  it('holds', () => expectHold('R27', good, /8 rings started and enabled/));

  it('breaks when a ring that was started is never enabled', () => {
    const long = never.plus({ t: never.timeline().end + 5000, type: 'run.end' });
    expectBreak('R27', long, 'violation', /session 2: QEMU started ring 1 and did not enable it in \d+ ms/);
  });

  it('breaks when a later start is not enabled, in the same driver or the next', () => {
    const start = good.find('ring.start', enable(2, 1));
    const later = [
      { ...good.find('ring.stop', enable(1, 1)), t: start.t + 100, session: 2 },
      { t: start.t + 101, type: 'ring.enable' as const, session: 2, ring: 1, enabled: false },
      { ...start, t: start.t + 110, enabled: false },
    ];
    const stopped = good.stretch(start.t + 120, 4000).plus(...later);
    expectBreak('R27', stopped, 'violation', /session 2: QEMU started ring 1 and did not enable it in/);
    const reset = stopped.plus(
      { t: start.t + 99, type: 'driver.reset' },
      { ...good.find('driver.features'), t: start.t + 105 },
      { ...good.find('driver.ready'), t: start.t + 115 },
    );
    expectBreak('R27', reset, 'violation', /session 2: QEMU started ring 1 and did not enable it in/);
    const restopped = stopped.plus({ ...later[0]!, t: start.t + 115 } as (typeof later)[0]);
    expectHold('R27', restopped.plus({ t: start.t + 99, type: 'qmp.command', id: 900, execute: 'stop' }));
  });

  it('breaks when a ring in use is disabled, though it is enabled again, but for a command', () => {
    const { t } = good.find('session.close', ({ session }) => session === 1);
    const flap = { type: 'ring.enable' as const, session: 1, ring: 1 };
    const flaps = good.plus({ ...flap, t: t - 3, enabled: false }, { ...flap, t: t - 2, enabled: true });
    expectBreak('R27', flaps, 'violation', /^session 1: QEMU disabled ring 1, and the guest uses 2 queue pairs$/);
    const down = { execute: 'set_link', arguments: { name: 'n0', up: false } };
    expectHold('R27', flaps.plus({ t: t - 4, type: 'qmp.command', id: 900, ...down }));
  });

  it('follows a guest that uses fewer pairs, and more again', () => {
    const ready = good.find('driver.ready');
    const asked = { t: ready.t + 1, type: 'driver.pairs' as const, pairs: 1 };
    const done = { ...asked, t: ready.t + 2, answered: true as const };
    const enabled = { type: 'ring.enable' as const, session: 1, ring: 2, enabled: true };
    // What was under way when the guest asked may still come.
    expectHold(
      'R27',
      good.plus(asked, done, { ...enabled, t: ready.t + 1.5 }).only(({ t }) => t < ready.t + 5),
    );
    const after = good.plus(asked, done, { ...enabled, t: ready.t + 3 });
    expectBreak('R27', after, 'violation', /session 1: QEMU enabled ring 2, and the guest uses 1 queue pair/);
    const more = after.plus({ ...asked, t: ready.t + 2.2, pairs: 2 }, { ...done, t: ready.t + 2.4, pairs: 2 });
    expectHold('R27', more);
  });

  it('breaks when a ring of a pair is enabled that the guest does not use', () => {
    const ready = good.find('driver.ready');
    const narrow = good.with('driver.ready', () => true, { pairs: 1 });
    expectHold(
      'R27',
      narrow.without('ring.enable', ({ ring }) => ring > 1),
    );
    const early = { t: ready.t - 1, type: 'ring.enable' as const, session: 1, ring: 2, enabled: true };
    const before = narrow.without('ring.enable', ({ ring }) => ring > 1).plus(early);
    expectHold('R27', before);
    const after = before.plus({ ...early, t: ready.t + 1 });
    expectBreak('R27', after, 'violation', /session 1: QEMU enabled ring 2, and the guest uses 1 queue pair/);
  });

  describe('when the guest changes its number of pairs on running rings', () => {
    const { t: left } = good.find('session.close', ({ session }) => session === 1);
    const t = left - 20;
    const change = (at: number, pairs: number): Timed[] => [
      { t: at, type: 'driver.pairs', pairs },
      { t: at + 1, type: 'driver.pairs', pairs, answered: true },
    ];
    const turn = (at: number, enabled: boolean, ...rings: number[]): Timed[] =>
      rings.map((ring) => ({ t: at, type: 'ring.enable', session: 1, ring, enabled }));
    const first = good.only((e) => e.t < left).plus({ t: t + 18, type: 'run.end' });
    const fewer = first.plus(...change(t, 1));
    const long = (story: typeof good, by = 2000) => story.stretch(t + 10, by);

    it('holds when what it gives up is disabled, and what it takes up enabled', () => {
      expectHold('R27', long(fewer.plus(...turn(t + 2, false, 2, 3))));
      const again = fewer.plus(...turn(t + 2, false, 2, 3), ...change(t + 4, 2), ...turn(t + 6, true, 2, 3));
      expectHold('R27', long(again));
    });
    it('breaks when what it gives up stays enabled, or is disabled late', () => {
      const seen = /^session 1: QEMU did not disable ring 3 in 20\d\d ms, and the guest changed to 1 queue pair/;
      expectBreak('R27', long(fewer.plus(...turn(t + 2, false, 2))), 'violation', seen);
      expectBreak('R27', long(fewer.plus(...turn(t + 2, false, 2), ...turn(t + 11, false, 3))), 'violation', seen);
    });
    it('breaks when what it takes up again stays disabled', () => {
      const again = fewer.plus(...turn(t + 2, false, 2, 3), ...change(t + 4, 2), ...turn(t + 6, true, 2));
      const seen = /^session 1: QEMU did not enable ring 3 in 20\d\d ms, and the guest changed to 2 queue pairs$/;
      expectBreak('R27', long(again), 'violation', seen);
      expectBreak('R27', long(again.plus(...turn(t + 15, true, 3))), 'violation', seen);
    });
    it('asks nothing of what took no time, was changed again, stopped, held back, or has no such message', () => {
      expectHold('R27', fewer);
      expectHold('R27', long(fewer.plus(...change(t + 4, 2))));
      const stop: Timed = { t: t - 1, type: 'qmp.command', id: 900, execute: 'stop' };
      expectHold('R27', long(fewer.plus(stop)));
      const stops = good.events.filter((e) => e.type === 'ring.stop' && e.session === 1);
      expectHold('R27', long(fewer.plus(...stops.map((e) => ({ ...e, t: t + 3 })))));
      expectHold('R27', long(fewer.without('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES')));
      expectHold('R27', long(fewer.plus({ t: t + 2000, type: 'pace', lag: 1500, delay: 0 })));
      const spoilt = { type: 'peer.fault', session: 1, fault: 'value', what: 'no', spoils: 'answer' } as const;
      expectHold('R27', long(fewer.plus({ ...spoilt, t: t - 2 })));
      // Asked while nobody is there.
      const nobody = good.plus(...change(left + 20, 1)).stretch(left + 30, 2000);
      expectHold(
        'R27',
        nobody.only((e) => e.t < left + 2040),
      );
    });
    it('breaks when the device refuses, while a peer is there', () => {
      const what = 'control command 0400 0100 was answered with 1';
      const refused = (at: number): Timed => ({ t: at, type: 'driver.broken', rule: 'command', what });
      expectBreak('R27', good.plus(refused(t)), 'violation', /^session 1: the guest's control command .* with 1$/);
      expectHold('R27', good.plus(refused(left + 1)));
    });
  });

  it('excuses a QEMU that waits for an answer of the peer', () => {
    const last = never.timeline().end;
    const enabling = { ...at(2, 'SET_VRING_ENABLE', 1), t: last + 1, flags: 9 };
    const waiting = never.without('wire.recv', ({ t }) => t > last - 5).plus(enabling);
    expectHold('R27', waiting.plus({ t: last + 5000, type: 'run.end' }));
  });

  it('says nothing of a session that ended at once', () => expectHold('R27', never));

  it('says nothing without a driver', () => expectNotApplicable('R27', server({ driver: 'none' })));
});
