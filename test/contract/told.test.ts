import { describe, it } from 'vitest';
import type { Hex } from '../../src/timeline/index.js';
import { bit, virtioNetFeatures } from '../../src/wire/index.js';
import { ACCEPTED, client, hex, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed } from './timeline-builder.js';

const any = () => true;

/** A device with an MTU, of which each peer is told before its first ring starts. */
function withMtu(story: Story, told: (session: number) => Hex | undefined = () => hex(9000n)): Story {
  const accepted = hex(ACCEPTED | bit(virtioNetFeatures.VIRTIO_NET_F_MTU));
  const messages = story.events.flatMap((event): Timed[] => {
    if (event.type !== 'ring.start' || event.ring !== 0) return [];
    const value = told(event.session);
    if (value === undefined) return [];
    const message = { index: 99, request: 20, name: 'NET_SET_MTU', flags: 1, size: 8, body: { value }, fds: 0 };
    return [{ type: 'wire.recv', t: event.t - 0.05, session: event.session, ...message }];
  });
  return story
    .with('run.begin', any, { mtu: 9000 })
    .with('driver.features', any, { accepted })
    .plus(...messages);
}

describe("R45 the device's MTU reaches every peer", () => {
  it('holds where each is told', () => {
    expectHold('R45', withMtu(server()), /^2 NET_SET_MTU of 9000$/);
    expectHold('R45', withMtu(client()));
  });

  it('breaks when one is told another', () =>
    expectBreak(
      'R45',
      withMtu(server(), (session) => hex(session === 2 ? 1500n : 9000n)),
      'violation',
      /^session 2: NET_SET_MTU says 1500, the device has 9000$/,
    ));

  it('breaks when one is not told', () =>
    expectBreak(
      'R45',
      withMtu(server(), (session) => (session === 2 ? undefined : hex(9000n))),
      'violation',
      /^session 2: ring 0 started without NET_SET_MTU before$/,
    ));

  it('is for guests and peers that know of it', () => {
    const untold = withMtu(server(), () => undefined);
    expectNotApplicable('R45', untold.with('driver.features', any, { accepted: hex(ACCEPTED) }));
    const withoutMtu = { body: { value: hex(0x10cafn) } };
    expectNotApplicable(
      'R45',
      untold.with('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES', withoutMtu),
    );
    expectNotApplicable('R45', server());
  });
});

describe('R46 every peer is told that the driver is ready', () => {
  const ready = (session: number) => (e: { session: number; name: string; body: unknown }) =>
    e.session === session && e.name === 'SET_STATUS' && (e.body as { value: string }).value === '0xf';

  it('holds where each is told', () => {
    expectHold('R46', server(), /^DRIVER_OK told 2 times$/);
    expectHold('R46', client({ pairs: 2 }));
  });

  it('breaks when one whose rings run on is not', () => {
    const twice = server({ away: [200, 200] }).without('wire.recv', ready(2));
    const lost = twice.find('session.close', ({ session }) => session === 2).t;
    expectBreak('R46', twice.stretch(lost - 1, 2000), 'violation', /^session 2: SET_STATUS with DRIVER_OK took/);
  });

  it('breaks when one is told only that it is over', () =>
    expectBreak(
      'R46',
      server().without('wire.recv', ready(2)),
      'violation',
      /^session 2: SET_STATUS with DRIVER_OK did not come before /,
    ));

  it('breaks when one is not told again, whose rings start again', () => {
    const story = server();
    const t = story.find('session.close', ({ session }) => session === 2).t - 100;
    const status = story.find('wire.recv', ready(2));
    const starts = [0, 1].map((ring) => story.find('ring.start', (e) => e.session === 2 && e.ring === ring));
    const again = story.plus(
      { ...status, t, body: { value: '0x0' } },
      ...starts.map(({ ring }): Timed => ({ type: 'ring.stop', t: t + 1, session: 2, ring, base: 128 })),
      ...starts.map((start) => ({ ...start, t: t + 2 })),
    );
    expectBreak('R46', again, 'violation', /^session 2: SET_STATUS with DRIVER_OK did not come before /);
    expectHold('R46', again.plus({ ...status, t: t + 3 }), /^DRIVER_OK told 3 times$/);
  });

  it('is for peers that take a status, and give what QEMU waits for', () => {
    const untold = server().without('wire.recv', ({ name }) => name === 'SET_STATUS');
    const withoutStatus = { body: { value: hex(0xcbfn) } };
    expectNotApplicable(
      'R46',
      untold.with('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES', withoutStatus),
    );
    const fault = { type: 'peer.fault', fault: 'header', what: 'a wrong request', spoils: 'answer' } as const;
    const spoilt = [1, 2].map((session) => ({
      ...fault,
      session,
      t: untold.find('session.open', any, session - 1).t + 1,
    }));
    expectNotApplicable('R46', untold.plus(...spoilt));
    expectNotApplicable('R46', server({ driver: 'none' }));
  });
});

/** A monitor that is asked to announce the guest at times, and what QEMU sends then; by session. */
function announced(story: Story, payload: (session: number) => Hex | undefined = () => '0x563412005452'): Story {
  const events = [1, 2].flatMap((session): Timed[] => {
    const { t } = story.find('session.close', (close) => close.session === session);
    const value = payload(session);
    const rarp = { index: 99, request: 19, name: 'SEND_RARP', flags: 1, size: 8, body: { value: value! }, fds: 0 };
    return [
      { type: 'qmp.command', t: t - 3, id: 900 + session, execute: 'announce-self' },
      ...(value === undefined ? [] : [{ type: 'wire.recv' as const, t: t - 2, session, ...rarp }]),
      { type: 'qmp.reply', t: t - 1, id: 900 + session, execute: 'announce-self', latency: 2, value: {} },
    ];
  });
  return story
    .plus({ type: 'driver.config', t: story.find('driver.features').t, mac: '52:54:00:12:34:56' })
    .plus(...events);
}

describe('R49 the network is told where the guest is', () => {
  const untold = announced(server({ away: [200, 200] }), (session) => (session === 2 ? undefined : '0x563412005452'));
  const answer = untold.find('qmp.reply', ({ id }) => id === 902).t;

  it('holds where each peer is told', () => {
    expectHold('R49', announced(server()), /^2 SEND_RARP with the device's address$/);
    expectHold('R49', announced(client({ pairs: 2 })));
  });

  it('breaks when one is told another address', () =>
    expectBreak(
      'R49',
      announced(server(), (session) => (session === 2 ? '0x0' : '0x563412005452')),
      'violation',
      /^session 2: SEND_RARP says 00:00:00:00:00:00, the device has 52:54:00:12:34:56$/,
    ));

  it('breaks when one whose rings run on, or were stopped, is not told', () => {
    const late = /^session 2: SEND_RARP took \d+ ms from the answer to announce-self$/;
    expectBreak('R49', untold.stretch(answer + 0.5, 2000), 'violation', late);
    const stop = { index: 99, request: 39, name: 'SET_STATUS', flags: 1, size: 8, body: { value: hex(0n) }, fds: 0 };
    const stopped = untold.plus({ type: 'wire.recv', t: answer + 0.5, session: 2, ...stop });
    expectBreak('R49', stopped, 'violation', /^session 2: SEND_RARP did not come before SET_STATUS$/);
  });

  it('asks nothing of a peer that left soon, has not the feature, or is behind a link that is down, nor for a guest that announces itself', () => {
    expectHold('R49', untold, /^1 SEND_RARP/);
    const waited = untold.stretch(answer + 0.5, 2000);
    const accepted = hex(ACCEPTED | bit(virtioNetFeatures.VIRTIO_NET_F_GUEST_ANNOUNCE));
    expectHold('R49', waited.with('driver.features', any, { accepted }));
    const withoutRarp = { body: { value: hex(0x100cbn) } };
    expectHold(
      'R49',
      waited.with('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES', withoutRarp),
    );
    const down = { execute: 'set_link', arguments: { name: 'n0', up: false } };
    expectHold('R49', waited.plus({ type: 'qmp.command', t: answer - 3, id: 990, ...down }));
    expectHold(
      'R49',
      waited.with('qmp.reply', ({ id }) => id === 902, { error: 'no' }),
    );
    expectNotApplicable('R49', server());
  });
});
