import { describe, it } from 'vitest';
import { bit, virtioNetFeatures } from '../../src/wire/index.js';
import { ACCEPTED, hex, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Timed } from './timeline-builder.js';

const good = server();
const first = good.find('driver.features');
const late = good.find('session.close', () => true, -1).t - 1;
const config = (t: number, mac: string, more: object = {}): Timed => ({ type: 'driver.config', mac, ...more, t });
const MAC = '52:54:00:12:34:56';

describe('R48 the guest keeps its device', () => {
  it('holds where nothing changes, or only what is told', () => {
    expectHold('R48', good, /^1 start of a driver found the same device$/);
    expectHold('R48', good.plus(config(first.t, MAC, { pairs: 4 }), config(late, MAC)));
  });

  it('breaks when a later driver is offered something else by peers that offer the same', () => {
    const again = { ...first, t: late, offered: hex(ACCEPTED) };
    const seen = /^the guest is offered 0x[0-9a-f]+, it was 0x[0-9a-f]+ before$/;
    expectBreak('R48', good.plus(again), 'violation', seen);
    const other = (e: { name: string; session: number }) => e.name === 'GET_FEATURES' && e.session === 2;
    expectHold('R48', good.with('wire.send', other, { body: { value: '0x40000000' } }).plus(again));
  });

  it('breaks when the device has another address or other queue pairs', () => {
    const was = config(first.t, MAC, { pairs: 4 });
    const now = (mac: string, more: object) => good.plus(was, config(late, mac, more));
    const nobody = '00:00:00:00:00:00';
    expectBreak('R48', now(nobody, {}), 'violation', /has MAC 00:\S+00, it had MAC 52:\S+56, 4 queue pairs/);
    expectBreak('R48', now(MAC, { pairs: 1 }), 'violation', /has MAC \S+, 1 queue pair, it had .* 4 queue pairs/);
  });

  it('breaks when the device has another MTU, where it has one', () => {
    const was = config(first.t, MAC, { mtu: 9000 });
    expectBreak('R48', good.plus(was, config(late, MAC, { mtu: 0 })), 'violation', /MTU 0, it had .* MTU 9000$/);
    expectHold('R48', good.plus(was, config(late, MAC)));
  });

  it('breaks when a later driver cannot bring the device up', () => {
    const broken = (t: number): Timed => ({ type: 'driver.broken', rule: 'device', what: 'status 4 after a reset', t });
    const seen = /^the driver cannot start again: status 4 after a reset$/;
    expectBreak('R48', good.plus(broken(late)), 'violation', seen);
    // That is how it is set up, or the tester.
    expectHold('R48', good.plus(broken(first.t - 1)));
    expectHold('R48', good.plus({ ...broken(late), rule: 'command' } as Timed));
  });

  it('breaks when the device asks for a reset', () =>
    expectBreak('R48', good.plus({ t: late, type: 'driver.needs-reset' }), 'violation', /asks for a reset/));

  it('breaks when the device asks a guest to announce itself that did not accept to', () => {
    const asks = good.plus(config(late, MAC, { announce: true }));
    expectBreak('R48', asks, 'violation', /^the device asks the guest to announce itself, which it did not offer to$/);
    const accepted = hex(ACCEPTED | bit(virtioNetFeatures.VIRTIO_NET_F_GUEST_ANNOUNCE));
    expectHold(
      'R48',
      asks.with('driver.features', () => true, { accepted }),
    );
  });

  it('says nothing without a driver', () => expectNotApplicable('R48', server({ driver: 'none' })));
});
