import { type EventOf, firstIndex, type Ms, type Timeline } from '../timeline/index.js';
import { answerTo, flagIn } from './body.js';
import { unseenGuest } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { removals } from './removal.js';
import type { Requirement } from './requirement.js';
import { allRunning, ranToTheEnd } from './ring-spans.js';
import { type Loss, losses, type SessionView, servedSessions, unowed } from './sessions.js';
import { horizon, perTimeline } from './timing.js';

/** From the loss to the guest's link going down; measured under 20 ms. */
const LINK_MS = 1000;

/**
 * From running rings to the link going up. Twice the bound of going down: what the guest sees of it takes an interrupt and
 * a register read through two processes after QEMU's own work; 1104 ms were seen with forty processes on two cores.
 */
const LINK_UP_MS = 2000;

/** The guest may see a change before the tester recorded what caused it: the end of a stream, the last message. */
const NOTICE_MS = 250;

/** What the guest saw of its link: its driver, or one that the tester does not drive, which tells of the first of its devices. */
type Link = EventOf<'driver.link'> | EventOf<'guest.carrier'>;

const linksOf = perTimeline((t: Timeline): readonly Link[] => {
  const carriers = t.all('guest.carrier');
  return unseenGuest(t) ? carriers.filter(({ nic }) => nic === carriers[0]!.nic) : t.all('driver.link');
});

/** The first one after event number `seq` for which `test` holds. */
function firstLink(t: Timeline, test: (link: Link) => boolean, seq: number): Link | undefined {
  const links = linksOf(t);
  for (let i = firstIndex(links, (link) => link.seq > seq); i < links.length; i++) if (test(links[i]!)) return links[i];
  return undefined;
}

/** The last one before event number `seq`. */
const lastLink = (t: Timeline, seq: number): Link | undefined =>
  linksOf(t)[firstIndex(linksOf(t), (link) => link.seq >= seq) - 1];

/** The handshake that was complete next after an event: QEMU raises the link then. */
function nextHandshake(t: Timeline, afterSeq: number): EventOf<'wire.recv'> | undefined {
  const all = completed(t);
  return all[firstIndex(all, ({ seq }) => seq > afterSeq)];
}

/** The messages that completed a handshake, in order. */
const completed = perTimeline((t: Timeline): readonly EventOf<'wire.recv'>[] =>
  servedSessions(t)
    .flatMap(({ handshake }) => handshake.complete ?? [])
    .sort((a, b) => a.seq - b.seq),
);

/**
 * A loss must show as link down when QEMU had longer than the bound before the next handshake raised the link again.
 * After a shorter absence both changes can fall between two looks of the guest, and nothing can be said.
 */
function missedDown(t: Timeline, loss: Loss): { down?: Link; breaks: Break[] } {
  const raised = nextHandshake(t, loss.close.seq);
  const until = Math.min(raised?.t ?? Infinity, horizon(t).t);
  // Down already: an earlier loss, with both changes after it too close together to be seen.
  const before = lastLink(t, loss.close.seq);
  if (before && !before.up) return { down: before, breaks: [] };
  const down = firstLink(t, (e) => !e.up && e.t <= until, loss.close.seq);
  const wait = unowed(t, loss.close.t, Math.min(until, down?.t ?? Infinity));
  if (wait <= LINK_MS) return { ...(down ? { down } : {}), breaks: [] };
  const what = down ? `went down only ${ms(wait)} after` : `was still up ${ms(wait)} after`;
  const events = down ? [loss.close.seq, down.seq] : [loss.close.seq];
  return {
    breaks: [{ kind: 'violation', seen: `the guest's link ${what} session ${loss.view.session} ended`, events }],
  };
}

const setsLink = ({ execute }: EventOf<'qmp.command'>): boolean => execute === 'set_link';

/** The commands that were to lower the link, or to raise it. */
const settingLink = (t: Timeline, up: boolean): EventOf<'qmp.command'>[] =>
  t.all('qmp.command').filter((command) => setsLink(command) && flagIn(command.arguments ?? null, 'up') === up);

/** Commands that set the link of a QEMU with one port, and that the guest did not see in time. */
function missedCommands(t: Timeline, up: boolean): Break[] {
  if (t.first('peer.other')) return [];
  return settingLink(t, up).flatMap((command) => {
    const done = answerTo(t, command);
    if (!done || done.error || lastLink(t, command.seq)?.up !== !up) return [];
    const change = firstLink(t, (e) => e.up === up, command.seq);
    // A handshake raises it and a loss lowers it again, whoever set it; a driver that starts anew looks anew.
    const peer = up ? losses(t).find(({ close }) => close.seq > command.seq)?.close : nextHandshake(t, command.seq);
    const other = t.first('qmp.command', setsLink, command.seq);
    const reset = t.first('driver.reset', () => true, command.seq);
    const until = Math.min(...[change, peer, other, reset, horizon(t)].map((e) => e?.t ?? Infinity));
    const wait = until <= done.t ? 0 : unowed(t, done.t, until);
    if (wait <= (up ? LINK_UP_MS : LINK_MS)) return [];
    const late = change?.t === until ? change : undefined;
    const [went, was, asked] = up ? ['came up', 'down', 'raise'] : ['went down', 'up', 'lower'];
    const what = late ? `${went} only ${ms(wait)} after` : `was still ${was} ${ms(wait)} after`;
    const events = [command.seq, done.seq, ...(late ? [late.seq] : [])];
    return [{ kind: 'violation', seen: `the guest's link ${what} set_link was to ${asked} it`, events }];
  });
}

/** When a command was next to lower the link: one that is under way may be carried out at any time. */
function loweredAfter(t: Timeline, seq: number): number {
  const command = settingLink(t, false).find((one) => (answerTo(t, one)?.seq ?? Infinity) > seq);
  return command?.t ?? Infinity;
}

/** Once the rings of a session run, a link that is seen down must come up; the first look may come after them. */
function missedUps(t: Timeline): Break[] {
  return servedSessions(t).flatMap((view) => {
    const running = allRunning(t, view);
    if (!running) return [];
    const look = lastLink(t, running.seq) ?? linksOf(t)[0];
    const reset = t.first('driver.reset', () => true, running.seq);
    const lowered = loweredAfter(t, running.seq);
    if (!look || look.up || look.seq > Math.min(reset?.seq ?? Infinity, view.toSeq)) return [];
    const up = firstLink(t, (e) => e.up, running.seq);
    const until = Math.min(up?.t ?? Infinity, reset?.t ?? Infinity, lowered, view.to, horizon(t).t);
    const wait = until <= running.t ? 0 : unowed(t, running.t, until);
    if (wait <= LINK_UP_MS) return [];
    const what = up ? `came up only ${ms(wait)} after` : `was still down ${ms(wait)} after`;
    const seen = `the guest's link ${what} the rings of session ${view.session} ran`;
    return [{ kind: 'violation', seen, events: up ? [running.seq, up.seq] : [running.seq] }];
  });
}

/**
 * A handshake that went wrong raises the link all the same, and is for R18 to judge: a started device tells that it ended. QEMU
 * need not wait for anything at its end, so that the peer may have left the end of it unread.
 */
const handshakeEnd = ({ handshake, received, close }: SessionView): { t: Ms; seq: number } | undefined =>
  handshake.complete ?? received.find(({ name }) => name === 'SET_FEATURES') ?? (close?.unread ? close : undefined);

/**
 * Changes beyond those that losses and handshakes explain. They are counted over the whole run, not per loss: a change is
 * recorded when the guest looks, which may be after the next loss.
 */
function surplus(t: Timeline, first: Link, changes: readonly Link[]): Break[] {
  // A netdev that is removed takes the link with it.
  const lost = [...losses(t).map(({ close }) => close), ...removals(t).map(({ asked }) => asked)];
  const raised = servedSessions(t).flatMap((view) => handshakeEnd(view) ?? []);
  // A link that was up at the first look was raised by a handshake before it.
  const fresh = raised.filter((message) => !first.up || message.seq > first.seq);
  return [
    ...unexplained(t, changes, false, lost).map(
      ({ link, nth }): Break => ({
        kind: 'violation',
        seen: `the guest's link went down ${counted(nth, 'time')} by ${counted(nth - 1, 'loss', 'losses')}`,
        events: [link.seq],
      }),
    ),
    ...unexplained(t, changes, true, fresh).map(
      ({ link, nth }): Break => ({
        kind: 'violation',
        seen: `the guest's link went up ${counted(nth, 'time')} by ${counted(nth - 1, 'handshake')}`,
        events: [link.seq],
      }),
    ),
  ];
}

/** The first change in a direction that came before as many causes, with its number. */
function unexplained(
  t: Timeline,
  changes: readonly Link[],
  up: boolean,
  causes: readonly { t: number }[],
): { link: Link; nth: number }[] {
  const end = horizon(t).t;
  const ways = changes.filter((change) => change.up === up && change.t < end);
  // Each has a cause of its own: of both in order, the one of the same number.
  const inOrder = causes.toSorted((a, b) => a.t - b.t);
  const index = ways.findIndex(({ t: at }, i) => {
    const cause = inOrder[i];
    return !cause || cause.t > at + NOTICE_MS + t.starved(at, cause.t);
  });
  return index < 0 ? [] : [{ link: ways[index]!, nth: index + 1 }];
}

/** QEMU tells of a reset, whoever had it done; a command is there before. */
const restarted = (t: Timeline): boolean =>
  t.all('guest.ready').length > 1 ||
  t.first('qmp.command', ({ execute }) => execute === 'system_reset') !== undefined ||
  t.first('qmp.event', ({ event }) => event === 'RESET') !== undefined;

export const R31: Requirement = {
  id: 'R31',
  title: 'The guest sees the link go down and up',
  sentence: "When a peer is lost the guest's link goes down, and up again after the rings were set up anew, once each.",
  level: 'must',
  label: 'contract',
  sources: ['qemu:net/vhost-user.c#chr_closed_bh', 'qemu:net/net.c#qmp_set_link'],
  allowed: `Down within ${LINK_MS} ms of the loss, up within ${LINK_UP_MS} ms of running rings; an absence too short for the guest to notice need not show. Where set_link is used, only that it is down within ${LINK_MS} ms of such a command, up within ${LINK_UP_MS} ms of one that raises it, and up with running rings.`,
  judge(t) {
    const links = linksOf(t);
    const first = links[0];
    if (!first) return notApplicable('no driver told of its link');
    if (unseenGuest(t) && restarted(t)) return notApplicable('the guest started anew, and its carrier with it');
    if (t.first('qmp.command', setsLink)) {
      // QEMU raises a link for a peer that returns even if it was lowered by command, and does not ask who is there for one
      // that is raised by command: what is left to judge is that a command does it, and that it is up with running rings.
      const running = servedSessions(t).flatMap((view) => allRunning(t, view)?.seq ?? []);
      const breaks = [...missedCommands(t, false), ...missedCommands(t, true), ...missedUps(t)];
      if (breaks.length === 0 && running.length === 0)
        return notApplicable('the link was set by command, and no rings ran');
      return judged(breaks, hold(`up with running rings in ${counted(running.length, 'session')}`, running));
    }
    const lost = losses(t).filter((loss) => loss.close.seq > first.seq && ranToTheEnd(t, loss.view));
    const downs = lost.map((loss) => missedDown(t, loss));
    const changes = links.filter((link, i) => i > 0 && link.up !== links[i - 1]!.up);
    const breaks = [...downs.flatMap((result) => result.breaks), ...missedUps(t), ...surplus(t, first, changes)];
    if (breaks.length === 0 && lost.length === 0) return notApplicable('no connection with running rings was lost');
    const seen = downs.flatMap(({ down }) => down?.seq ?? []);
    return judged(
      breaks,
      hold(`${counted(lost.length, 'loss', 'losses')}, ${seen.length} of them seen as link down`, [
        ...lost.map((loss) => loss.close.seq),
        ...seen,
      ]),
    );
  },
};
