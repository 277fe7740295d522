import { describe, expect, it } from 'vitest';
import { PortTracker } from '../../src/drill/port-state.js';
import type { EventBody, Role } from '../../src/timeline/index.js';
import { closed, echo, enabled, feed, opened, ping, received, started, stopped } from './feed.js';

const about = (role: Role) => ({ port: 'p0', role, socket: '/run/s' });

function tracker(role: Role, ...bodies: EventBody[]): PortTracker {
  const made = new PortTracker(about(role));
  feed(made, ...bodies.map((body, t): [number, EventBody] => [t, body]));
  return made;
}

const state = (role: Role, ...bodies: EventBody[]) => tracker(role, ...bodies).state;
const dial: EventBody = { type: 'peer.dial', path: '/run/s', session: 1 };
const listen: EventBody = { type: 'peer.listen', path: '/run/s' };
const hold: EventBody = { type: 'peer.fault', session: 1, fault: 'hold', what: 'reads nothing' };
const says = (connected: boolean, means: 'qom' | 'filename'): EventBody => ({
  type: 'chardev.state',
  connected,
  means,
});

describe('PortTracker', () => {
  it('begins with nobody there', () => {
    expect(state('server')).toEqual({
      ...about('server'),
      peer: 'away',
      chardev: 'DISCONNECTED',
      rings: { running: [], started: [] },
    });
  });

  it('follows a peer that dials, is served, and leaves', () => {
    const made = tracker('server', dial);
    expect(made.state.peer).toBe('waiting');
    feed(made, [1, opened(1)]);
    expect(made.state).toMatchObject({ peer: 'connected', chardev: 'CONNECTING', session: 1 });
    feed(made, [2, received(1, 'GET_FEATURES')]);
    expect(made.state).toMatchObject({ peer: 'connected', chardev: 'CONNECTED', message: 'GET_FEATURES' });
    feed(made, [3, closed(1)]);
    expect(made.state).toMatchObject({ peer: 'away', chardev: 'DISCONNECTED', message: 'GET_FEATURES' });
    expect(made.state).not.toHaveProperty('session');
  });

  it('follows a peer that listens: it waits as long as it does', () => {
    expect(state('client', listen).peer).toBe('waiting');
    expect(state('client', listen, opened(1), closed(1)).peer).toBe('waiting');
    const gone: EventBody = { type: 'peer.unlisten', path: '/run/s', removed: false };
    expect(state('client', listen, gone).peer).toBe('away');
    expect(state('client', listen, opened(1), gone).peer).toBe('connected');
    expect(state('client', listen, opened(1), gone, closed(1)).peer).toBe('away');
    const hung: EventBody = { type: 'peer.hung', path: '/run/s' };
    expect(state('client', listen, opened(1), hung, closed(1)).peer).toBe('away');
    const accepts: EventBody = { type: 'peer.accepts', path: '/run/s' };
    expect(state('client', listen, opened(1), hung, closed(1), accepts).peer).toBe('waiting');
  });

  it('tells a peer that hangs from one that holds one message back', () => {
    expect(state('server', opened(1), hold).peer).toBe('frozen');
    expect(state('server', opened(1), { ...hold, message: 'SET_OWNER' } as EventBody).peer).toBe('connected');
    expect(state('server', opened(1), hold, { type: 'peer.resumed', session: 1 }).peer).toBe('connected');
    expect(state('server', opened(1), hold, closed(1)).peer).toBe('away');
  });

  it('shows the rings of this session, by number, that were started, and of these the enabled ones', () => {
    const rings = [opened(1), started(1, 3, false), started(1, 0), enabled(1, 1, true)];
    expect(state('server', ...rings).rings).toEqual({ started: [0, 3], running: [0] });
    expect(state('server', ...rings, enabled(1, 3, true)).rings).toEqual({ started: [0, 3], running: [0, 3] });
    expect(state('server', ...rings, started(1, 1)).rings).toEqual({ started: [0, 1, 3], running: [0, 1] });
    expect(state('server', ...rings, stopped(1, 0)).rings).toEqual({ started: [3], running: [] });
    // A ring that stops stays enabled.
    expect(state('server', ...rings, stopped(1, 0), started(1, 0)).rings.running).toEqual([0]);
    expect(state('server', ...rings, closed(1)).rings).toEqual({ started: [], running: [] });
  });

  it('leaves other sessions out', () => {
    const made = tracker('server', opened(1), opened(2, { extra: true }), received(2, 'SET_OWNER'));
    expect(made.state).toMatchObject({ session: 1, chardev: 'CONNECTING' });
    feed(made, [5, closed(2, { extra: true })]);
    expect(made.state).toMatchObject({ session: 1, peer: 'connected' });
    // One that was overtaken ends after the next began.
    const overtaken = [opened(1), started(1, 0), opened(2), started(2, 0), stopped(1, 0), closed(1)];
    expect(state('server', ...overtaken)).toMatchObject({ session: 2, peer: 'connected', rings: { running: [0] } });
  });

  it('goes over to the client that has waited longest when the one that was served leaves', () => {
    const extra = { extra: true } as const;
    const waiting = [listen, opened(1), started(1, 0), opened(2, extra), opened(3, extra)];
    expect(state('client', ...waiting)).toMatchObject({ session: 1, rings: { running: [0] } });
    const second = { session: 2, peer: 'connected', chardev: 'CONNECTING', rings: { running: [] } };
    expect(state('client', ...waiting, closed(1))).toMatchObject(second);
    expect(state('client', ...waiting, closed(3, extra), closed(1))).toMatchObject(second);
    // It keeps its flag for good; so does its end.
    const third = tracker('client', ...waiting, closed(1), closed(2, extra));
    expect(third.state).toMatchObject({ session: 3, peer: 'connected' });
    feed(third, [9, closed(3, extra)]);
    expect(third.state).toMatchObject({ peer: 'waiting', chardev: 'DISCONNECTED' });
    // To whom QEMU has spoken, it has spoken.
    const spoken = [...waiting, received(2, 'SET_OWNER'), closed(1)];
    expect(state('client', ...spoken)).toMatchObject({ session: 2, chardev: 'CONNECTED' });
  });

  it('says what QEMU says: by its property, or by query-chardev where there is no property', () => {
    expect(state('server', says(true, 'qom')).saysConnected).toBe(true);
    expect(state('server', says(true, 'qom'), says(false, 'filename')).saysConnected).toBe(true);
    expect(state('server', says(true, 'qom'), says(false, 'qom'), says(true, 'filename')).saysConnected).toBe(false);
    expect(state('server', says(true, 'filename'), says(false, 'filename')).saysConnected).toBe(false);
    expect(state('server', says(true, 'filename'), says(false, 'qom')).saysConnected).toBe(false);
  });

  it('shows the carrier and the last ping', () => {
    expect(state('server', { type: 'guest.carrier', nic: 'eth0', up: true }).link).toBe('up');
    expect(state('server', { type: 'driver.link', up: false }).link).toBe('down');
    expect(state('server', opened(1), ping(1)).pingAt).toBe(1);
    expect(state('server', opened(1), ping(1), echo(1, [[2, 2]])).pingAt).toBe(2);
  });

  it('knows nothing of a QEMU that has ended', () => {
    const link: EventBody = { type: 'guest.carrier', nic: 'eth0', up: true };
    const gone = state('server', says(true, 'qom'), link, { type: 'qemu.exit', code: 0, signal: null });
    expect(gone).not.toHaveProperty('saysConnected');
    expect(gone).not.toHaveProperty('link');
  });

  it('forgets a cut that happened, and no other', () => {
    const made = tracker('server', opened(1));
    made.state.cut = 'SET_OWNER.1.after-read';
    feed(made, [1, closed(1)], [2, opened(2)]);
    expect(made.state.cut).toBe('SET_OWNER.1.after-read');
    feed(made, [3, closed(2, { cut: 'SET_OWNER.1.after-read' })]);
    expect(made.state).not.toHaveProperty('cut');
  });

  it('tells whether anything changed', () => {
    const made = new PortTracker(about('server'));
    expect(feed(made, [0, opened(1)], [1, received(1, 'SET_OWNER')], [2, received(1, 'SET_OWNER')])).toEqual([
      true,
      true,
      false,
    ]);
    expect(feed(made, [3, { type: 'run.end' }], [4, started(1, 0)], [5, enabled(1, 0, true)])).toEqual([
      false,
      true,
      false,
    ]);
  });
});
