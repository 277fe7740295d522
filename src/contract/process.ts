import type { EventOf, Timeline } from '../timeline/index.js';
import { joined } from './guest-state.js';
import { type Break, broken, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { migratingIn } from './migrations.js';
import type { Requirement } from './requirement.js';
import { expectsReply, losses, replyTo, servedSessions, unowed } from './sessions.js';
import { beats, stalls } from './stalls.js';
import { horizon, START_MS } from './timing.js';

/** QMP is served by the same main loop as the chardev; an idle one answers in well under a millisecond. */
export const QMP_ANSWER_MS = 1000;

/** From `quit` to the exit. Measured 3-6 ms; the slowest fixed defect of this kind took seconds (defect:finalize-listener-use-after-free). */
export const QUIT_EXIT_MS = 5000;

/** States that no command leads to (qapi/run-state.json, RunState). To others libvirt, or a guest, may have brought an operator's QEMU. */
const OWN_DOING = /^(internal-error|io-error|guest-panicked|watchdog)$/;

/** Commands that change the run state by themselves. */
const stateCommands: ReadonlySet<string> = new Set(['stop', 'cont', 'system_reset', 'system_powerdown', 'quit']);

/** A command that may have changed it; what HMP was told is not looked into. */
const changesState = ({ execute }: EventOf<'qmp.command'>): boolean =>
  stateCommands.has(execute) || execute === 'human-monitor-command';

/** How a process ended, with what its post-mortem found. */
function obituary(t: Timeline, { code, signal }: EventOf<'qemu.exit'>): string {
  const assertion = t.first('qemu.post-mortem')?.assertion;
  const how = signal !== null ? `signal ${signal}` : code === null ? 'what only its parent knows' : `exit code ${code}`;
  return assertion ? `${how}, assertion '${assertion.expression}' in ${assertion.function} (${assertion.file})` : how;
}

/** seq of a process's end and of what explains it. */
function deathEvents(t: Timeline, exit: EventOf<'qemu.exit'>): number[] {
  const loss = t.last('session.close', () => true, exit.seq);
  const postMortem = t.first('qemu.post-mortem');
  return [loss?.seq, exit.seq, postMortem?.seq].filter((seq) => seq !== undefined);
}

export const R1: Requirement = {
  id: 'R1',
  title: 'QEMU survives the peer',
  sentence: 'QEMU does not end because a back-end closes its connection, at whatever point, or breaks the protocol.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Communication',
    'qemu:chardev/char-socket.c#tcp_chr_disconnect_locked',
    'qemu:net/vhost-user.c#chr_closed_bh',
  ],
  allowed: 'The process lives until it is asked to quit.',
  judge(t) {
    const exit = t.first('qemu.exit');
    if (exit && exit.asked === undefined) {
      const started = t.first('qmp.ready') !== undefined || t.first('session.open') !== undefined;
      if (!started && exit.signal === null)
        return notApplicable(`QEMU refused to start (exit code ${exit.code}), which is a matter of its configuration`);
      if (exit.code === null && exit.signal === null && !t.first('qmp.ready'))
        return notApplicable('QEMU ended before its monitor was there; why, only its parent knows');
      const loss = t.last('session.close', () => true, exit.seq);
      const after = loss ? `, ${ms(exit.t - loss.t)} after session ${loss.session} ended` : '';
      const kind = exit.signal === null && exit.code === 0 ? 'violation' : 'crash';
      return broken(kind, `QEMU ended unasked by ${obituary(t, exit)}${after}`, deathEvents(t, exit));
    }
    const lost = t.all('session.close').filter((close) => close.by === 'peer');
    if (lost.length === 0) return notApplicable('no peer closed a connection');
    const wrong = t.all('peer.fault').filter(({ spoils }) => spoils !== undefined);
    const also = wrong.length > 0 ? ` and ${counted(wrong.length, 'fault')} of a peer` : '';
    return hold(
      `QEMU lived through ${counted(lost.length, 'connection that the peer closed', 'connections that the peer closed')}${also}`,
      lost.map((close) => close.seq),
    );
  },
};

/**
 * QEMU's start-up waits for one complete handshake (net_vhost_user_init) and then goes on, with or without the peer: QMP must
 * come. A handshake whose last message was left unanswered is not complete to QEMU.
 */
function stuckAtStart(t: Timeline): Break[] {
  if (joined(t)) return [];
  const complete = servedSessions(t).flatMap((view) => {
    const last = view.handshake.complete;
    return last && (!expectsReply(last) || replyTo(view, last)) ? last : [];
  })[0];
  if (!complete) return [];
  const ready = t.first('qmp.ready');
  const until = Math.min(ready?.t ?? Infinity, horizon(t).t);
  const wait = unowed(t, complete.t, until);
  if (wait <= START_MS) return [];
  const what = ready ? 'was ready only' : 'was not ready';
  const seen = `QMP ${what} ${ms(wait)} after the handshake of session ${complete.session}`;
  return [{ kind: 'hang', seen, events: ready ? [complete.seq, ready.seq] : [complete.seq] }];
}

export const R2: Requirement = {
  id: 'R2',
  title: 'The control plane answers unless a peer keeps QEMU waiting',
  sentence:
    'QMP is there after the first handshake, and answers: without a peer, with one that behaves, and again soon after one that kept QEMU waiting answered or closed its connection.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:net/vhost-user.c#net_vhost_user_init',
    'qemu:net/vhost-user.c#net_vhost_user_event',
    'defect:main-loop-stuck-on-silent-backend',
  ],
  allowed: `At start-up ${START_MS} ms from the first complete handshake, then an answer within ${QMP_ANSWER_MS} ms; the time in which a peer owes QEMU an answer does not count, since QEMU waits for that without limit.`,
  judge(t) {
    const ready = t.first('qmp.ready');
    const all = beats(t);
    const breaks = stuckAtStart(t);
    if (!ready || all.length === 0) return judged(breaks, notApplicable('QMP was not asked'));
    const end = horizon(t).t;
    let worst = 0;
    for (const beat of all) {
      const from = Math.max(beat.from, ready.t);
      const silence = from < end ? unowed(t, from, Math.min(beat.to, end)) : 0;
      worst = Math.max(worst, silence);
      if (silence <= QMP_ANSWER_MS) continue;
      const closed = t.last('session.close', (close) => close.t <= Math.min(beat.to, end));
      const since = closed ? `, ${ms(Math.min(beat.to, end) - closed.t)} after session ${closed.session} ended` : '';
      breaks.push({
        kind: 'hang',
        seen: `QMP was silent for ${ms(silence)} with no peer to wait for${since}`,
        events: closed ? [closed.seq, beat.seq] : [beat.seq],
      });
    }
    return judged(
      breaks,
      hold(`${counted(all.length, 'heartbeat')}, at most ${ms(worst)} of waiting${stalled(t)}`, [all.at(-1)!.seq]),
    );
  },
};

/** How long peers kept QEMU waiting: allowed, and worth a word. */
function stalled(t: Timeline): string {
  const longest = stalls(t).toSorted((a, b) => b.ms - a.ms)[0];
  if (!longest) return '';
  const what = longest.message ? `for the answer to ${longest.message}` : 'for its peer';
  const back = longest.recoveryMs === undefined ? '' : `, back after ${ms(longest.recoveryMs)}`;
  return `; in session ${longest.session} it waited ${ms(longest.ms)} ${what}${back}`;
}

/** Events that tell of another run state before anything could have changed it: too short for a heartbeat to see. */
function blinks(t: Timeline, beforeSeq: number): Break[] {
  if (joined(t)) return [];
  const reason = t.first('qmp.command', (command) => changesState(command) || command.execute === 'migrate');
  const until = Math.min(beforeSeq, reason?.seq ?? Infinity);
  return t
    .all('qmp.event')
    .filter(({ event, seq }) => (event === 'STOP' || event === 'RESUME') && seq < until)
    .map(({ event, seq }) => ({ kind: 'violation', seen: `QEMU told ${event} without a command`, events: [seq] }));
}

export const R3: Requirement = {
  id: 'R3',
  title: 'The machine keeps running',
  sentence: 'The run state of the virtual machine does not change because a back-end is lost.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:net/vhost-user.c#chr_closed_bh'],
  allowed: `query-status stays as it was, and neither STOP nor RESUME is told, unless a command changed it (${[...stateCommands].join(', ')}, or one of HMP), or a migration, of which R35 judges it. Of an operator's QEMU, which others command too, only a state that no command leads to counts.`,
  judge(t) {
    const quit = t.first('qmp.command', (command) => command.execute === 'quit')?.seq ?? Infinity;
    const all = t.all('qmp.heartbeat').filter((beat) => beat.seq < quit);
    const first = all[0];
    if (!first || all.length < 2 || losses(t).length === 0)
      return notApplicable('no run state before and after a loss');
    const breaks: Break[] = [];
    let since = first;
    let before = first;
    for (const beat of all) {
      const { sent: from } = before;
      before = beat;
      if (beat.status === since.status) continue;
      // The state was so as of some moment after it was asked for: a command may have come while it was.
      const { sent } = since;
      const command = t.last('qmp.command', (c) => c.t >= sent && changesState(c), beat.seq);
      const elsewhere = joined(t) && !OWN_DOING.test(beat.status);
      if (!command && !elsewhere && !migratingIn(t, { from, to: beat.t })) {
        const loss = t.last('session.close', () => true, beat.seq);
        breaks.push({
          kind: 'violation',
          seen: `the run state went from ${since.status} to ${beat.status} without a command`,
          events: loss ? [since.seq, loss.seq, beat.seq] : [since.seq, beat.seq],
        });
      }
      since = beat;
    }
    breaks.push(...blinks(t, quit));
    return judged(
      breaks,
      hold(`${since.status} throughout ${counted(all.length, 'heartbeat')}`, [first.seq, all.at(-1)!.seq]),
    );
  },
};

export const R4: Requirement = {
  id: 'R4',
  title: 'QEMU quits when asked',
  sentence: 'QMP quit ends QEMU with exit code 0, connected, disconnected or in the middle of a handshake.',
  level: 'must',
  label: 'regression',
  sources: ['qemu:chardev/char-socket.c#char_socket_finalize', 'defect:finalize-listener-use-after-free'],
  allowed: `Exit code 0 within ${QUIT_EXIT_MS} ms of quit; a peer that owes QEMU an answer excuses the wait.`,
  judge(t) {
    const exit = t.first('qemu.exit', (event) => event.asked !== undefined);
    const quit = t.last('qmp.command', (command) => command.execute === 'quit', exit?.seq);
    if (!exit) return notApplicable('QEMU was not asked to quit, or its end is not in the record');
    const events = quit ? [quit.seq, exit.seq] : [exit.seq];
    if (exit.code === null && exit.signal === null)
      return notApplicable('QEMU ended in order, with an exit code that only its parent knows');
    if (exit.asked === 'quit' && (exit.signal !== null || exit.code !== 0))
      return broken('crash', `after quit QEMU ended by ${obituary(t, exit)}`, deathEvents(t, exit));
    if (!quit) {
      if (exit.asked === 'kill') return notApplicable('QEMU was killed without having been asked to quit');
      return hold('QEMU quit with exit code 0', events);
    }
    const wait = unowed(t, quit.t, exit.t);
    if (wait > QUIT_EXIT_MS) {
      const how = exit.asked === 'kill' ? 'and had to be killed' : 'until it ended';
      return broken('hang', `QEMU took ${ms(wait)} after quit ${how}`, events);
    }
    if (exit.asked === 'kill') return notApplicable(`QEMU was killed ${ms(wait)} after quit, too early to judge`);
    return hold(`QEMU quit with exit code 0 after ${ms(exit.t - quit.t)}`, events);
  },
};
