import type { Event, Json, Ms, SeqRanges } from '../timeline/index.js';
import { packedBaseText } from '../virtio/index.js';
import { clip, formatMs, printable } from './format.js';

/** A frame's arguments can be endless; timelines have them whole. */
const MAX_FRAME = 100;

const seqs = (ranges: SeqRanges) =>
  ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(' ');
const brief = (value: Json | undefined) => (value === undefined ? '' : ` ${JSON.stringify(value)}`);
const plural = (n: number, noun: string) => `${n} ${noun}${n === 1 ? '' : 's'}`;
const withFds = (fds: number) => (fds > 0 ? ` +${plural(fds, 'fd')}` : '');
const needReply = (flags: number) => (flags & 8 ? ' (reply wanted)' : '');
const isEmpty = (body: Json) => body !== null && typeof body === 'object' && Object.keys(body).length === 0;
const bodyOf = (body: Json) => (isEmpty(body) ? '' : brief(body));
const extra = (event: { extra?: true }) => (event.extra ? ' (second client)' : '');

const baseText = (layout: 'packed' | undefined, base: number) =>
  layout === 'packed' ? packedBaseText(base) : String(base);

/**
 * One event as one line for people, without its time. Everything that shows events goes through here.
 * The words are those of docs/architecture.md.
 */
export function describeEvent(event: Event): string {
  return printable(known(event)).replaceAll('\n', '\\n');
}

/** A stored timeline can have events that this tester does not know, or not so: they are shown as they are. */
function known(event: Event): string {
  try {
    const words: string | undefined = text(event);
    if (words !== undefined) return words;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  const { seq: _seq, t: _t, type, ...rest } = event;
  return `${type} ${JSON.stringify(rest)}`;
}

function text(event: Event): string {
  switch (event.type) {
    case 'run.begin':
      return `variant ${event.variant} begins, QEMU ${event.qemu.version}, profile ${event.profile}`;
    case 'run.end':
      return 'variant ends';
    case 'step.begin':
      return `step ${event.index + 1} ${event.verb}${brief(event.params)}`;
    case 'step.end':
      return `step ${event.index + 1} ${event.verb} ${event.outcome}${event.reason ? `: ${event.reason}` : ''}`;
    case 'phase.begin':
      return event.cut === undefined ? 'phase begins' : `phase begins, the peer leaves at ${event.cut}`;
    case 'phase.end':
      return 'phase ends';
    case 'drill.note':
      return `note: ${event.text}`;
    case 'tester.trouble':
      return `trouble of the tester: ${event.what}${event.hint ? ` (${event.hint})` : ''}`;
    case 'peer.listen':
      return `${event.decoy ? 'decoy' : 'peer'} listens`;
    case 'peer.unlisten':
      return `${event.decoy ? 'decoy' : 'peer'} stops listening, path ${event.removed ? 'removed' : 'stays'}`;
    case 'peer.hung':
      return `peer accepts no connection${event.full ? ', and its backlog is full' : ''}`;
    case 'peer.accepts':
      return 'peer accepts connections again';
    case 'peer.resumed':
      return `peer serves again (session ${event.session})`;
    case 'peer.other':
      return `${event.port}’s peer is ${{ away: 'away', connected: 'there', owing: 'at fault: QEMU may wait for it' }[event.state]}`;
    case 'peer.dial':
      return `peer dials for session ${event.session}`;
    case 'peer.dial-failed':
      return `dial for session ${event.session} fails: ${event.code}`;
    case 'decoy.accept':
      return `process ${event.pid} dials the decoy`;
    case 'session.open':
      return `session ${event.session} opens by ${event.by}, process ${event.pid}${extra(event)}`;
    case 'session.close': {
      const cut = event.cut === undefined ? '' : ` at ${event.cut}`;
      const unread = event.unread ? `, ${plural(event.unread, 'byte')} of QEMU unread` : '';
      return `session ${event.session} ends by ${event.by}: ${event.how}${cut}${unread}${event.error ? `: ${event.error}` : ''}${extra(event)}`;
    }
    case 'wire.recv':
      return `<- ${event.name}${bodyOf(event.body)}${withFds(event.fds)}${needReply(event.flags)} (session ${event.session})`;
    case 'wire.send':
      return `-> ${event.channel} ${event.name}${bodyOf(event.body)}${withFds(event.fds)} (session ${event.session})`;
    case 'peer.fault':
      return `fault ${event.fault}${event.message ? ` at ${event.message}` : ''}: ${event.what} (session ${event.session})`;
    case 'wire.backend-close':
      return `back-end channel is closed by ${event.by} (session ${event.session})`;
    case 'wire.backend-recv':
      return `<- back-end channel ${event.name}${bodyOf(event.body)} (session ${event.session})`;
    case 'ring.start': {
      const indices = event.usedIdx === undefined ? '' : `, used ${event.usedIdx}, avail ${event.availIdx}`;
      const next =
        event.layout === undefined ? indices : `, ${event.available ? 'something' : 'nothing'} available there`;
      return `ring ${event.ring} starts at ${baseText(event.layout, event.base)}${next}, ${event.enabled ? 'enabled' : 'disabled'} (session ${event.session})`;
    }
    case 'ring.stop':
      return `ring ${event.ring} stops at ${baseText(event.layout, event.base)} (session ${event.session})`;
    case 'ring.enable':
      return `ring ${event.ring} is ${event.enabled ? 'enabled' : 'disabled'} (session ${event.session})`;
    case 'ring.kick':
      return `kick of ring ${event.ring} (session ${event.session})`;
    case 'ring.call':
      return `call of ring ${event.ring} (session ${event.session})`;
    case 'traffic.begin': {
      const flight = event.inFlight ? ', not awaited' : '';
      return `burst ${event.burst}: ${plural(event.packets, 'packet')} ${event.only ?? 'each way'} on ${plural(event.pairs, 'pair')}${flight}`;
    }
    case 'packets.sent':
      return `${event.dir} pair ${event.pair}: sent ${seqs(event.seqs)}`;
    case 'packets.seen': {
      const corrupt = event.corrupt > 0 ? `, ${event.corrupt} corrupt` : '';
      return `${event.dir} pair ${event.pair}: seen ${seqs(event.seqs) || 'none'}${corrupt}`;
    }
    case 'packets.completed':
      return `tx pair ${event.pair}: completed ${seqs(event.seqs)}`;
    case 'traffic.end': {
      const missing = event.missing.map((m) => `${m.dir} pair ${m.pair}: ${seqs(m.seqs)}`).join('; ');
      return `burst ${event.burst} ${event.outcome}${missing ? `, missing ${missing}` : ''}`;
    }
    case 'driver.reset':
      return 'driver resets the device';
    case 'driver.features':
      return `driver accepts features ${event.accepted} of ${event.offered}`;
    case 'driver.config': {
      const { mac, pairs, mtu, announce } = event;
      const asks = announce ? ', and asks the guest to announce itself' : '';
      const more = `${pairs === undefined ? '' : `, ${plural(pairs, 'queue pair')}`}${mtu === undefined ? '' : `, MTU ${mtu}`}`;
      return `the device has MAC ${mac}${more}${asks}`;
    }
    case 'driver.needs-reset':
      return 'the device asks for a reset';
    case 'driver.broken': {
      const whose = { ring: `ring ${event.ring}`, device: 'its set-up', command: 'its commands' }[event.rule];
      return `the device breaks the rules of ${whose}: ${event.what}`;
    }
    case 'driver.ready':
      return `driver sets DRIVER_OK with ${plural(event.pairs, 'pair')}, ${plural(event.rings.length, 'ring')}`;
    case 'driver.pairs':
      return `driver ${event.answered ? 'uses' : 'asks for'} ${plural(event.pairs, 'queue pair')}`;
    case 'driver.link':
      return `guest sees link ${event.up ? 'up' : 'down'}`;
    case 'driver.interrupt':
      return `interrupt, ISR ${event.isr}`;
    case 'driver.kick':
      return `driver notifies ring ${event.ring}${event.count === undefined ? '' : ` ${event.count} times`}`;
    case 'guest.ready':
      return 'guest is up';
    case 'guest.echo':
      return `guest ${event.from} pings: ${seqs(event.seqs)} (session ${event.session})`;
    case 'guest.ping':
      return `guest’s ping ${event.number} by ${event.nic} is answered after ${formatMs(event.latency)}`;
    case 'guest.carrier':
      return `guest’s ${event.nic} ${event.up ? 'has a carrier' : 'has no carrier'}`;
    case 'guest.trouble':
      return `guest’s kernel, ${event.what}: ${event.line}`;
    case 'qemu.spawn':
      return `QEMU starts, process ${event.pid}`;
    case 'qemu.exit': {
      const code = event.code === null ? 'how is not known' : `exit code ${event.code}`;
      const how = event.signal ? `killed by ${event.signal}` : code;
      return `QEMU ends: ${how}${event.asked ? ` (asked to by ${event.asked})` : ' (unasked)'}`;
    }
    case 'qemu.descriptors':
      return event.spare === undefined
        ? 'QEMU can open descriptors again'
        : `QEMU can open ${plural(event.spare, 'descriptor')} more, numbers below ${event.limit}`;
    case 'qemu.stderr':
      return `stderr: ${event.line}`;
    case 'qemu.post-mortem': {
      const { assertion } = event;
      const what = assertion
        ? `assertion in ${assertion.function} (${assertion.file}:${assertion.line}): ${assertion.expression}; `
        : '';
      return (
        what +
        (event.backtrace
          ? `backtrace of ${event.backtrace.length} frames`
          : `no backtrace: ${event.noBacktrace ?? 'no core'}`)
      );
    }
    case 'qmp.ready':
      return 'QMP is ready';
    case 'qmp.lost':
      return `the monitor is lost: ${event.why}`;
    case 'qmp.command':
      return `QMP ${event.execute}${brief(event.arguments)}`;
    case 'qmp.reply':
      return `QMP ${event.execute} ${event.error ? `fails: ${event.error}` : 'done'} after ${formatMs(event.latency)}`;
    case 'qmp.event':
      return `QMP event ${event.event}${bodyOf(event.data)}`;
    case 'monitor.open':
      return `client ${event.client} dials the second monitor`;
    case 'monitor.command':
      return `second monitor: ${event.execute}`;
    case 'monitor.reply':
      return `second monitor: ${event.error ? `fails: ${event.error}` : 'done'}`;
    case 'monitor.event':
      return `second monitor: event ${event.event}${bodyOf(event.data)}`;
    case 'monitor.close': {
      const who = event.by === 'client' ? `client ${event.client} leaves` : 'QEMU closes';
      return `${who}${event.half ? ' in the middle of a command' : ''} (second monitor)`;
    }
    case 'migration.begin': {
      const how = `${event.hold ? ', held when memory is copied' : ''}${event.pause ? ', paused before the switch-over' : ''}`;
      return `migration ${event.migration} begins${how}`;
    }
    case 'migration.status':
      return `migration ${event.migration} is ${event.status}`;
    case 'migration.hold':
      return `migration ${event.migration}: memory is copied, the destination reads no more`;
    case 'migration.release':
      return `migration ${event.migration}: the destination reads on`;
    case 'migration.stream':
      return `migration ${event.migration}: the stream ends${event.complete ? '' : ' early'} by the ${event.by} after ${plural(event.bytes, 'byte')}, ${plural(event.pages, 'page')} of memory, ${event.repeated} of them sent again`;
    case 'migration.written': {
      const stale = event.stale.length > 0 ? `, not as written: ${event.stale.join(' ')}` : '';
      return `migration ${event.migration}: the peer wrote ${plural(event.pages, 'page')}, ${event.again} of them sent again${stale}`;
    }
    case 'migration.rings': {
      const rings = event.rings.map(({ index, next }) => `ring ${index} at ${next}`);
      return `migration ${event.migration}: the stream says ${rings.join(', ')}`;
    }
    case 'migration.end':
      return `migration ${event.migration} ends as ${event.status}${event.reason ? `: ${event.reason}` : ''}`;
    case 'qmp.heartbeat':
      return `QMP answers after ${formatMs(event.latency)}: ${event.status}`;
    case 'qmp.silent':
      return `QMP has not answered for ${formatMs(event.t - event.since)}`;
    case 'chardev.state':
      return `chardev is ${event.connected ? 'connected' : 'disconnected'} (by ${event.means})`;
    case 'socket.path':
      if (event.inode === undefined) return "QEMU's socket path is gone";
      return `QEMU's socket path has inode ${event.inode}${event.mode === undefined ? '' : ` and mode 0${event.mode.toString(8)}`}`;
    case 'self-dial':
      return `a connection at QEMU's own path that is not the tester's (inodes ${event.inodes.join(', ')})`;
    case 'proc.sample':
      return `QEMU has ${plural(event.fds, 'fd')} and ${plural(event.threads, 'thread')}`;
    case 'pace':
      return `machine: tester late by ${formatMs(event.lag)}, QEMU without a CPU for ${formatMs(event.delay)} so far`;
  }
}

/**
 * Events, one a line, with times relative to the first: `+3.101 s  ...`. What a judgement rests on is marked `>`.
 * @param marked sequence numbers of the events to mark.
 * @param origin what the times count from instead
 */
export function renderEvents(
  events: readonly Event[],
  marked: ReadonlySet<number> = new Set(),
  origin: Ms = events[0]?.t ?? 0,
): string[] {
  return events.flatMap((event) => {
    const time = `+${((event.t - origin) / 1000).toFixed(3)} s`.padStart(10);
    const frames = event.type === 'qemu.post-mortem' ? (event.backtrace ?? []) : [];
    return [
      `${marked.has(event.seq) ? '>' : ' '}${time}  ${describeEvent(event)}`,
      ...frames.map((frame) => `${' '.repeat(15)}${printable(clip(frame, MAX_FRAME))}`),
    ];
  });
}
