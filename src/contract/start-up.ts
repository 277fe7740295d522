import type { Timeline } from '../timeline/index.js';
import { contextOf, numberIn } from './body.js';
import { joined, unseenGuest } from './guest-state.js';
import { type Break, broken, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { ringOf, type SessionView, servedSessions } from './sessions.js';
import { horizon, spent } from './timing.js';

/** From the start to the line that QEMU waits, where no peer is there; measured 50 ms, 700 ms on a busy machine. */
const SAY_MS = 2000;

/** The line, as QEMU has it since 2.x; what it calls itself and the chardev differ. */
const WAITING = /waiting for (a )?connection/i;

export const R11: Requirement = {
  id: 'R11',
  title: 'A listening QEMU waits for its first peer, and says so',
  sentence:
    'A listening QEMU with a vhost-user netdev does not start without a peer, with wait or without, and says so.',
  level: 'should',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_wait_connected', 'qemu:net/vhost-user.c#net_vhost_user_init'],
  allowed: `QMP is not ready before the first connection; a line on stderr that it is waiting for connection, within ${SAY_MS} ms.`,
  judge(t) {
    const spawn = t.first('qemu.spawn');
    if (contextOf(t)?.role !== 'server' || !spawn) return notApplicable('QEMU does not listen');
    if (joined(t)) return notApplicable('the start of an operator’s QEMU is not seen');
    const first = servedSessions(t)[0]?.open;
    const ready = t.first('qmp.ready');
    if (ready && ready.seq < (first?.seq ?? Infinity))
      return broken('violation', 'QEMU started without a peer', [spawn.seq, ready.seq]);
    const until = Math.min(first?.t ?? Infinity, horizon(t).t);
    const line = t.first('qemu.stderr', ({ line: said, t: at }) => WAITING.test(said) && at <= until + SAY_MS);
    if (line) return hold(`it waited, and said: ${line.line}`, [line.seq]);
    const wait = spent(t, spawn.t, until);
    if (wait <= SAY_MS) return notApplicable('the first peer came too soon for a line to be due');
    return broken(
      'violation',
      `QEMU waited ${ms(wait)} for its peer without a word`,
      first ? [first.seq] : [spawn.seq],
    );
  },
};

/** Until when no driver has touched the device. */
const untouched = (t: Timeline): number =>
  Math.min(
    ...(['driver.reset', 'driver.features', 'driver.ready'] as const).map((type) => t.first(type)?.seq ?? Infinity),
  );

/** The SET_VRING_ENABLE messages of a session before an event. */
const enables = (view: SessionView, before: number) =>
  view.received.filter(({ name, seq }) => name === 'SET_VRING_ENABLE' && seq < before);

/** What is wrong with those of the device's creation: one for every ring, with 1 for the rings of the pair in use. */
function created(t: Timeline, view: SessionView, before: number): Break[] {
  const rings = 2 * (contextOf(t)?.queuePairs ?? 1);
  const all = enables(view, before);
  const told = all.map((message) => [ringOf(message), numberIn(message.body, 'num')]);
  const due = Array.from({ length: rings }, (_, ring) => [ring, ring < 2 ? 1 : 0]);
  const order = (list: (number | undefined)[][]) => JSON.stringify(list.toSorted(([a = -1], [b = -1]) => a - b));
  if (all.length === 0 || order(told) === order(due)) return [];
  const text = told.map(([ring, num]) => `ring ${ring}: ${num}`).join(', ');
  const seen = `session ${view.session}: SET_VRING_ENABLE for ${text}, of ${rings} rings`;
  return [{ kind: 'violation', seen, events: all.map(({ seq }) => seq) }];
}

export const R19: Requirement = {
  id: 'R19',
  title: 'Rings are enabled when the device is made, and then for a driver only',
  sentence:
    'When the device is made its first back-end is told once for every ring whether it is in use, or nothing at all; a later one is told only for a driver.',
  level: 'should',
  label: 'contract',
  sources: [
    'qemu:hw/net/virtio-net.c#virtio_net_set_queue_pairs',
    'qemu:hw/net/vhost_net.c#vhost_net_set_vring_enable',
  ],
  allowed:
    'SET_VRING_ENABLE 1 for the rings of the first pair and 0 for the others, each once, as QEMU 7.2 and later do, or none, as 5.2 does; on a return none before a driver came.',
  judge(t) {
    if (unseenGuest(t)) return notApplicable('the guest’s driver may have come at any time');
    const before = untouched(t);
    const ready = t.first('qmp.ready');
    const views = servedSessions(t).filter(({ open, handshake }) => open.seq < before && handshake.complete);
    const first = servedSessions(t)[0];
    const breaks: Break[] = [];
    let seen = '';
    // What the peer left unread, or did not answer, is no word of QEMU's that is missing.
    const whole = first && !first.close?.unread && first.faults.length === 0;
    if (first && whole && first === views[0] && ready && ready.seq < Math.min(before, first.toSeq)) {
      breaks.push(...created(t, first, before));
      seen = `${enables(first, before).length} when the device was made`;
    }
    // The device of a start whose handshake was broken off is made with a later one.
    const returns = views.filter(({ open }) => ready && open.seq > ready.seq);
    for (const view of returns) {
      const all = enables(view, before);
      if (all.length === 0) continue;
      const what = `session ${view.session}: ${counted(all.length, 'SET_VRING_ENABLE', 'SET_VRING_ENABLEs')} without a driver`;
      breaks.push({ kind: 'violation', seen: what, events: all.map(({ seq }) => seq) });
    }
    if (breaks.length === 0 && seen === '' && returns.length === 0)
      return notApplicable('no handshake was completed before a driver came');
    const events = views.flatMap(({ handshake }) => handshake.complete?.seq ?? []);
    const later = returns.length > 0 ? `none in ${counted(returns.length, 'return')} without a driver` : '';
    return judged(breaks, hold([seen, later].filter((part) => part !== '').join(', '), events));
  },
};
