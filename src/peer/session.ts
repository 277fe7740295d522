import { closeFd, EventFd, eventFdId, type FdSocket, OsError } from '../os/index.js';
import type { Ms, Recorder } from '../timeline/index.js';
import { VirtioError } from '../virtio/index.js';
import {
  decodeHeader,
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  fdRange,
  HEADER_SIZE,
  type MessageSpec,
  nameOf,
  type Payload,
  type RawMessage,
  StreamReader,
  specById,
  toJson,
  VERSION,
  VIRTIO_F_RING_PACKED,
  WireError,
} from '../wire/index.js';
import { BackendChannel } from './backend-channel.js';
import { type CutPlace, type CutWatch, cutText } from './cut.js';
import {
  type Answer,
  atOnce,
  type Bend,
  Faults,
  type Meeting,
  type Misdeed,
  type Pause,
  type SessionFault,
} from './faults/index.js';
import { handlers, type Reply } from './handlers.js';
import { MemoryTable } from './memory-table.js';
import { PeerError } from './peer-error.js';
import type { Profile } from './profiles.js';
import type { Traffic } from './traffic.js';
import { has, Vring } from './vring.js';

/** How the peer ends a session: orderly; abruptly with bytes of QEMU unread; after half of a message of its own. */
export type Leave = 'close' | 'abort' | 'half-message';

/** How often a socket is asked whether QEMU has read the first part of an answer: the kernel does not tell by itself. */
const TAKEN_MS = 1;

/** Most bytes of a fault that go into the timeline. */
const SHOWN = 64;

/** Reads in a row, two a message. */
const PORTION = 256;

/** What a lost connection looks like: reading after a close with unread bytes, and writing after any close. */
const LOST: Readonly<Record<string, 'reset' | 'eof'>> = { ECONNRESET: 'reset', EPIPE: 'eof' };

export interface SessionOptions {
  socket: FdSocket;
  number: number;
  profile: Profile;
  recorder: Recorder;
  traffic: Traffic;
  fault?: SessionFault;
  /** The cut that is armed, asked at every message. */
  cut?(): CutWatch | undefined;
  /** Called before the session leaves at a cut. */
  onCut?(): void;
  /** Told what it wrote into the guest's buffers. */
  wrote?(guestAddr: bigint, bytes: Buffer): void;
  /** A second client beside the main session: flagged in the timeline. */
  extra?: boolean;
  /** `refused`: the peer closed because of an error, or the front-end in the middle of a handshake or before any ring ran. */
  onClose(refused: boolean): void;
}

/** Does something when it is time. */
type Later = (go: () => void) => void;

/** A message that was received: what of it is needed to deal with it. */
interface Dealing extends RawMessage {
  name: string;
  spec: MessageSpec | undefined;
  decoded: Payload | undefined;
  meeting: Meeting;
}

/** The same when it was handled: the answer, where one is due, and the descriptors that go with it. */
interface Due extends Dealing {
  answer?: Answer;
}

/**
 * One connection with its negotiated state: a vhost-user-net back-end as the spec has it, answering the way DPDK's
 * vhost library does where the spec leaves room.
 */
export class Session {
  readonly number: number;
  readonly profile: Profile;
  readonly memory: MemoryTable;
  readonly rings = new Map<number, Vring>();
  /** Features acked by SET_FEATURES; 0 before. */
  features = 0n;
  /** Protocol features acked; 0 before. */
  protocolFeatures = 0n;
  owned = false;
  /** Device status by SET_STATUS. */
  status = 0;
  mtu: number | undefined;
  backend: BackendChannel | undefined;

  readonly #socket: FdSocket;
  readonly #reader = new StreamReader();
  readonly #o: SessionOptions;
  readonly #faults: Faults;
  #inflightFd: number | undefined;
  #received = 0;
  #stalled = false;
  #frozen = false;
  /** Where to leave at the message that is being read, if it is the cut's. */
  #cutAt: CutPlace | undefined;
  /** A fault left QEMU with half of something. */
  #half = false;
  /** A ring was started at some time. */
  #ran = false;
  /** What is being held back: an answer, its second part, or a message that is not dealt with yet. */
  #late: NodeJS.Timeout | undefined;
  /** Goes on with what is being held back until somebody says so. */
  #resume: (() => void) | undefined;
  /** The message that is not dealt with yet. */
  #held: Dealing | undefined;
  #closed = false;

  constructor(options: SessionOptions) {
    this.#o = options;
    this.memory = new MemoryTable(options.wrote);
    this.number = options.number;
    this.profile = options.profile;
    this.#socket = options.socket;
    this.#faults = new Faults(options.fault ?? {});
    this.#socket.onError((error) => this.fail(error));
    this.#socket.onReadable(() => this.#readable());
    this.#commit(this.#faults.atOnce());
  }

  /** Whether its fault has silenced it. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** Whether QEMU may be waiting for it without end. */
  get keepsWaiting(): boolean {
    return !this.#closed && (this.#stalled || this.#frozen || this.#half || this.holds);
  }

  /** Whether a message is being held back until resume(). */
  get holds(): boolean {
    return this.#resume !== undefined;
  }

  /**
   * Reads nothing more and serves no ring until thaw(), as a process that hangs. @throws PeerError ERR_FROZEN, ERR_NO_SESSION
   */
  freeze(): void {
    if (this.#closed) throw new PeerError('ERR_NO_SESSION', 'the session is over', 'await ready first');
    if (this.#frozen || this.#stalled || this.#held)
      throw new PeerError('ERR_FROZEN', 'the peer serves nothing already');
    this.#frozen = true;
    this.#note({ name: 'hold', bend: { what: 'reads nothing and serves no ring until told' } });
    this.#socket.pauseReading();
  }

  /** Ends freeze(): what waits is read and served. @throws PeerError ERR_NOTHING_HELD */
  thaw(): void {
    if (!this.#frozen || this.#closed) throw new PeerError('ERR_NOTHING_HELD', 'the peer is not frozen');
    this.#frozen = false;
    this.#o.recorder.record({ type: 'peer.resumed', session: this.number });
    // A fault may have silenced it meanwhile.
    if (!this.#stalled) this.#socket.onReadable(() => this.#readable());
    for (const ring of this.runningRings) this.pump(ring);
  }

  /** Whether freeze() is in force. */
  get frozen(): boolean {
    return this.#frozen;
  }

  /** Goes on with the message that it holds back. @throws PeerError ERR_NOTHING_HELD */
  resume(): void {
    const go = this.#resume;
    if (!go || this.#closed)
      throw new PeerError(
        'ERR_NOTHING_HELD',
        'the peer holds nothing back',
        'does the message of the fault hold come?',
      );
    this.#resume = undefined;
    go();
  }

  /** Does something wrong at once. @throws PeerError ERR_NO_CHANNEL when it needs a channel that is not there */
  misbehave(faults: SessionFault): void {
    const bends = atOnce(faults);
    if (bends.some(({ bend }) => bend.channel) && !this.backend?.open)
      throw new PeerError(
        'ERR_NO_CHANNEL',
        'there is no channel for the back-end’s requests',
        'QEMU opens it in the handshake',
      );
    this.#commit(bends);
  }

  get open(): boolean {
    return !this.#closed;
  }

  /** All rings that the front-end set up so far that can move packets. */
  get runningRings(): Vring[] {
    return [...this.rings.values()].filter((ring) => ring.running);
  }

  /** The ring with this index; made on first mention, as any ring message may be the first. */
  ring(index: number): Vring {
    if (index >= 2 * this.profile.queuePairs)
      throw new PeerError('ERR_RING', `ring ${index}, but ${this.profile.queuePairs} queue pairs are offered`);
    let ring = this.rings.get(index);
    if (!ring) {
      ring = new Vring(index);
      this.rings.set(index, ring);
    }
    return ring;
  }

  /** Runs a ring if it can run: takes or puts packets, calls the guest when it asks for it. */
  pump(ring: Vring): void {
    if (!ring.running || this.#closed || this.#frozen) return;
    try {
      if (this.#o.traffic.pump(ring, this.features, this.number)) this.call(ring);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Signals the guest through the call eventfd. */
  call(ring: Vring): void {
    if (!ring.call) return;
    ring.call.signal();
    this.#o.recorder.record({ type: 'ring.call', session: this.number, ring: ring.index });
  }

  /** Starts a ring that has its kick fd (spec "Ring states") and takes what waits on it. */
  startRing(ring: Vring): void {
    if (!ring.addresses || ring.size === 0)
      throw new PeerError('ERR_PROTOCOL', `SET_VRING_KICK for ring ${ring.index} before its size and addresses`);
    const queue = ring.start(this.memory, this.features);
    this.#ran = true;
    this.#o.recorder.record({
      type: 'ring.start',
      session: this.number,
      ring: ring.index,
      size: ring.size,
      ...ring.told,
      base: ring.base,
      ...queue.state(),
      enabled: ring.enabled,
    });
    ring.kick?.onSignal(
      (count) => {
        this.#o.recorder.record({ type: 'ring.kick', session: this.number, ring: ring.index, count: Number(count) });
        this.pump(ring);
      },
      (error) => this.fail(kickError(ring, error)),
    );
    this.pump(ring);
  }

  /** Stops a ring. @returns the base to report. */
  stopRing(ring: Vring): number {
    const { queue, told } = ring;
    const base = this.#told(ring.stop());
    if (queue) this.#o.recorder.record({ type: 'ring.stop', session: this.number, ring: ring.index, ...told, base });
    return base;
  }

  /** A base as this peer tells it. */
  #told(base: number): number {
    return has(this.features, VIRTIO_F_RING_PACKED) && !this.profile.wholeBase ? base & 0xffff : base;
  }

  /** Enables or disables a ring. */
  enableRing(ring: Vring, enabled: boolean): void {
    if (ring.enabled !== enabled) {
      ring.enabled = enabled;
      this.#o.recorder.record({ type: 'ring.enable', session: this.number, ring: ring.index, enabled });
    }
    if (enabled) this.pump(ring);
  }

  /** Takes over the channel for the back-end's own requests. */
  openBackendChannel(fd: number): void {
    this.backend?.close();
    this.backend = new BackendChannel(fd, this.number, this.#o.recorder);
  }

  /** Keeps the inflight buffer (GET_INFLIGHT_FD, SET_INFLIGHT_FD); takes the fd over. */
  setInflight(fd: number): void {
    if (this.#inflightFd !== undefined) closeFd(this.#inflightFd);
    this.#inflightFd = fd;
  }

  /** Bytes that QEMU sent and that were not read yet. */
  get unread(): number {
    return this.#closed ? 0 : this.#socket.unread();
  }

  /** Stops reading: what QEMU sends from now on stays unread. */
  stopReading(): void {
    this.#socket.pauseReading();
  }

  /** Ends stopReading(). */
  readOn(): void {
    if (!this.#closed && !this.#stalled && !this.#frozen && !this.#held)
      this.#socket.onReadable(() => this.#readable());
  }

  /** Ends the session from the peer's side. `abort` is meant after stopReading and records how much stayed unread. */
  leave(how: Leave): void {
    if (this.#closed) return;
    if (how === 'half-message') {
      const reply = encodeMessage({ request: 11, flags: VERSION | FLAG_REPLY, payload: Buffer.alloc(8) });
      this.#socket.send(reply.subarray(0, reply.length / 2));
    }
    // An orderly exit leaves nothing unread, or it would look like an abrupt one to QEMU.
    if (how === 'close' && !this.#frozen) this.#readable();
    this.#leaveAtOnce(how);
  }

  /**
   * Ends the session because of an error. A lost connection is the front-end's end of it; bad input makes the peer close;
   * anything else is the tester's own trouble. Nothing that a front-end sends may end the tester.
   */
  fail(error: unknown): void {
    const lost = error instanceof OsError && LOST[error.code];
    if (lost) {
      this.#end('front-end', lost);
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    const badInput = [WireError, PeerError, VirtioError, OsError].some((kind) => error instanceof kind);
    if (!badInput) this.#o.recorder.record({ type: 'tester.trouble', what: `peer: ${message}` });
    this.#end('peer', 'error', { error: message, ...(badInput ? { code: (error as { code: string }).code } : {}) });
  }

  #readable(): void {
    if (this.#faults.silent && !this.#stalled) {
      this.#note({ name: 'silent', bend: { what: 'reads and sends nothing', spoils: 'all' } });
      this.#silence();
    }
    try {
      // In portions: a front-end that floods must not starve the others. What is left is told again.
      for (let i = 0; i < PORTION && !this.#closed && !this.#stalled && !this.#held; i++) {
        if (this.#cutBefore() !== 'go on') return;
        const chunk = this.#socket.receive(this.#reader.want);
        if (chunk === 'again') return;
        if (chunk === 'eof') {
          this.#end('front-end', 'eof');
          return;
        }
        const message = this.#reader.push(chunk.bytes, chunk.fds);
        if (message) this.#receive(message);
        else if (this.#cutAt === 'half-read' && this.#reader.pending.bytes >= HEADER_SIZE) this.#leaveAtCut('abort');
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Between two messages, with a cut armed, looks ahead which one comes: it may have to stay unread. What has not come yet must
   * not be read by chance, so there is nothing to do then. QEMU sends a header in one piece.
   */
  #cutBefore(): 'go on' | 'wait' | 'left' {
    const watch = this.#o.cut?.();
    if (!watch || this.#reader.pending.bytes > 0) return 'go on';
    const header = this.#socket.peek(HEADER_SIZE);
    if (header === 'again') return 'wait';
    if (header === 'eof' || header.length < HEADER_SIZE) return 'go on';
    this.#cutAt = watch.meet(nameOf('front-end', decodeHeader(header).request));
    if (this.#cutAt !== 'before-read') return 'go on';
    this.#leaveAtCut('abort');
    return 'left';
  }

  /** Leaves at the cut; the peer is gone for whoever dials before QEMU can see it here. */
  #leaveAtCut(how: Leave): void {
    const watch = this.#o.cut!()!;
    watch.fire();
    this.#o.onCut?.();
    const { unread } = this;
    if (how !== 'abort') this.#socket.hangUp();
    this.#end('peer', how, { cut: cutText(watch.cut), ...(how === 'abort' ? { unread } : {}) });
  }

  /** One message: recorded, then dealt with, unless a fault has it wait. */
  #receive(message: RawMessage): void {
    const { request, flags, payload, fds } = message;
    let handedOn = false;
    try {
      const spec = specById('front-end', request);
      const name = nameOf('front-end', request);
      const decoded: Payload | undefined = spec && decodePayload(spec, false, payload);
      this.#o.recorder.record({
        type: 'wire.recv',
        session: this.number,
        index: this.#received++,
        request,
        name,
        flags,
        size: payload.length,
        body: decoded ? toJson(decoded) : { bytes: payload.subarray(0, SHOWN).toString('hex') },
        fds: fds.length,
        ...identity(name, fds),
      });
      if (this.#cutAt === 'after-read') {
        this.#leaveAtCut('close');
        return;
      }
      const meeting = this.#faults.meet(name);
      const dealing = { ...message, name, spec, decoded, meeting };
      const pause = meeting.pause?.pause;
      if (pause === 'for-ever') {
        this.#note({ name: 'stall', bend: { what: 'never answers', spoils: 'all' } }, name);
        this.#silence();
        return;
      }
      handedOn = true;
      if (pause === undefined) this.#deal(dealing);
      else this.#dealLate(dealing, pause);
    } finally {
      if (!handedOn) for (const fd of fds) closeFd(fd);
    }
  }

  /** Where QEMU waits for an answer, only that is late, so that what QEMU sends too early is seen. */
  #dealLate(dealing: Dealing, by: Exclude<Pause, 'for-ever'>): void {
    const { name, spec, flags } = dealing;
    const rule = spec?.reply.rule;
    if (by === 'until-resumed') this.#note({ name: 'hold', bend: { what: 'held until the schedule goes on' } }, name);
    else this.#note({ name: 'late', bend: { what: `${by} ms late` } }, name, by);
    const later: Later = (go) => {
      if (by === 'until-resumed') this.#resume = go;
      else this.#late = setTimeout(go, by);
    };
    if (rule === 'always' || rule === 'log-shmfd' || (flags & FLAG_NEED_REPLY) !== 0) {
      this.#deal(dealing, later);
      return;
    }
    this.#held = dealing;
    this.#socket.pauseReading();
    later(() => {
      this.#held = undefined;
      this.#socket.onReadable(() => this.#readable());
      try {
        this.#deal(dealing);
      } catch (error) {
        this.fail(error);
      }
    });
  }

  /** Handles a message and answers it. Fds that no handler keeps are closed. */
  #deal(dealing: Dealing, later?: Later): void {
    const { request, flags, fds, name, spec, decoded } = dealing;
    const kept = new Set<number>();
    try {
      const handler = handlers[name];
      // DPDK answers NEED_REPLY on every message, whether or not REPLY_ACK was negotiated; an unknown one with failure.
      const ack = (value: bigint): Due | undefined =>
        (flags & FLAG_NEED_REPLY) === 0
          ? undefined
          : { ...dealing, fds: [], answer: answerWith(request, { kind: 'u64', value }, true) };
      let reply: Reply;
      try {
        if (spec && decoded) checkFds(name, fdRange(spec.request.fds, decoded), fds.length);
        const keep = () => {
          kept.add(fds[0]!);
          return fds[0]!;
        };
        reply = handler && decoded ? handler(this, decoded, { fds, keep }) : undefined;
      } catch (error) {
        const refusal = ack(1n);
        if (refusal) this.#reply(refusal);
        throw error;
      }
      const due: Due = reply
        ? { ...dealing, fds: reply.fds ?? [], answer: answerWith(request, reply.payload, false) }
        : (ack(handler ? 0n : 1n) ?? { ...dealing, fds: [] });
      const answer = () => {
        this.#commit(due.meeting.bends(due.answer), due);
        if (this.#cutAt === 'after-reply') this.#leaveAtCut('close');
      };
      if (later) later(answer);
      else answer();
    } finally {
      for (const fd of fds) if (!kept.has(fd)) closeFd(fd);
    }
  }

  /** Does what is due, the wrong way round where faults say so. */
  #commit(faults: readonly Misdeed[], due?: Due): void {
    if (this.#closed) return;
    // What comes behind the answer is told behind it.
    const note = (behind: boolean) => {
      for (const fault of faults) if ((fault.bend.after !== undefined) === behind) this.#note(fault, due?.name);
    };
    note(false);
    const bend: Partial<Bend> = Object.assign({}, ...faults.map((fault) => fault.bend));
    if (bend.half) this.#half = true;
    if (bend.channel) this.backend?.act(bend.channel);
    if (bend.instead) this.#socket.send(bend.instead);
    else if (due?.answer) this.#reply(due, bend);
    note(true);
    if (bend.after) this.#socket.send(bend.after);
    if (bend.deaf) this.#silence();
    if (bend.leave) this.#leaveAtOnce('close');
  }

  #reply(
    { request, name, spec, answer, fds }: Due,
    { payload = answer!.payload, fds: gifts = 0, cut }: Partial<Bend> = {},
  ) {
    if (this.#closed) return;
    const { flags, ack } = answer!;
    const bytes = encodeMessage({ request, flags, payload });
    const half = { 'half-header': HEADER_SIZE / 2, 'half-payload': HEADER_SIZE + payload.length / 2 }[
      this.#cutAt as string
    ];
    if (half !== undefined) {
      this.#socket.send(bytes.subarray(0, half), fds);
      this.#leaveAtCut('half-message');
      return;
    }
    const ahead = this.unread;
    // Recorded before it is sent: what QEMU does on it must come after it in the timeline.
    this.#o.recorder.record({
      type: 'wire.send',
      session: this.number,
      channel: 'reply',
      request,
      name,
      flags,
      size: payload.length,
      body: toJson(
        ack || !spec ? { kind: 'u64', value: payload.readBigUInt64LE() } : decodePayload(spec, true, payload),
      ),
      fds: fds.length + gifts,
      ...(ahead > 0 ? { ahead } : {}),
    });
    const extra = Array.from({ length: gifts }, () => EventFd.create());
    this.#socket.send(bytes.subarray(0, cut), [...fds, ...extra.map(({ fd }) => fd)]);
    for (const event of extra) event.close();
    if (cut !== undefined) this.#sendWhenTaken(bytes.subarray(cut));
  }

  /** Sends the rest when QEMU has read what went before. */
  #sendWhenTaken(rest: Buffer): void {
    this.#half = true;
    const look = () => {
      if (this.#closed) return;
      if (!this.#socket.taken()) {
        this.#late = setTimeout(look, TAKEN_MS);
        return;
      }
      this.#half = false;
      this.#socket.send(rest);
    };
    look();
  }

  #note({ name, bend }: Misdeed, message?: string, by?: Ms): void {
    const bytes = bend.instead ?? bend.after ?? bend.channel?.bytes;
    this.#o.recorder.record({
      type: 'peer.fault',
      session: this.number,
      fault: name,
      what: bend.what,
      ...(message === undefined ? {} : { message }),
      ...(bend.spoils ? { spoils: bend.spoils } : {}),
      ...(bend.tolerable ? { tolerable: true } : {}),
      ...(by === undefined ? {} : { by }),
      ...(bend.half ? { half: true } : {}),
      ...(bend.announces === undefined ? {} : { announces: bend.announces }),
      ...(bytes && bytes.length > 0 ? { bytes: bytes.subarray(0, SHOWN).toString('hex') } : {}),
    });
  }

  /** Reads no more. */
  #silence(): void {
    this.#stalled = true;
    this.#socket.pauseReading();
  }

  #leaveAtOnce(how: Leave): void {
    const unread = this.unread;
    this.#end('peer', how, unread > 0 || how === 'abort' ? { unread } : {});
  }

  #end(
    by: 'peer' | 'front-end',
    how: 'close' | 'abort' | 'half-message' | 'error' | 'eof' | 'reset',
    more: { unread?: number; error?: string; code?: string; cut?: string } = {},
  ): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#late);
    this.#resume = undefined;
    for (const fd of this.#held?.fds ?? []) closeFd(fd);
    // Rings stop before the record of the close: nothing moves on a session that is gone.
    for (const ring of this.rings.values()) {
      this.stopRing(ring);
      ring.close();
    }
    this.#o.recorder.record({
      type: 'session.close',
      session: this.number,
      by,
      how,
      ...more,
      ...(this.#o.extra ? { extra: true as const } : {}),
    });
    this.#socket.close();
    this.backend?.close();
    this.memory.close();
    if (this.#inflightFd !== undefined) closeFd(this.#inflightFd);
    for (const fd of this.#reader.pending.fds) closeFd(fd);
    this.#o.onClose(how === 'error' || (by === 'front-end' && this.#received > 0 && !this.#ran));
  }
}

/** An answer as it should be. */
function answerWith(request: number, payload: Payload, ack: boolean): Answer {
  return { request, flags: VERSION | FLAG_REPLY, payload: encodePayload(payload), ack };
}

/** A kick fd that cannot be watched is bad input; its EPIPE must not pass for the end of the connection. */
function kickError(ring: Vring, error: unknown): unknown {
  return error instanceof OsError ? new PeerError('ERR_FDS', `kick of ring ${ring.index}: ${error.message}`) : error;
}

function checkFds(name: string, { min, max }: { min: number; max: number }, count: number): void {
  if (count >= min && count <= max) return;
  const rule = min === max ? `${min}` : `${min} to ${max}`;
  throw new PeerError('ERR_FDS', `${name} came with ${count} file descriptors, expected ${rule}`);
}

/** Which eventfd came with a ring's kick or call: QEMU may send one twice, under two numbers. */
function identity(name: string, [fd]: readonly number[]): { eventfd?: number } {
  if (fd === undefined || (name !== 'SET_VRING_KICK' && name !== 'SET_VRING_CALL')) return {};
  const eventfd = eventFdId(fd);
  return eventfd === undefined ? {} : { eventfd };
}
