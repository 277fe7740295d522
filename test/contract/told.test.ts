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
    expectHold('R46', server(), /^DRIVER_OK told in 2 sessions$/);
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
