import { closeFd, type FdSocket, OsError } from '../os/index.js';
import type { Recorder } from '../timeline/index.js';
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
  nameOf,
  type Payload,
  type RawMessage,
  StreamReader,
  specById,
  toJson,
  VERSION,
  WireError,
} from '../wire/index.js';
import { BackendChannel } from './backend-channel.js';
import { type CutPlace, type CutWatch, cutText } from './cut.js';
import { handlers, type Reply } from './handlers.js';
import { MemoryTable } from './memory-table.js';
import { PeerError } from './peer-error.js';
import type { Profile } from './profiles.js';
import type { PeerTraffic } from './traffic.js';
import { Vring } from './vring.js';

/** How the peer ends a session: orderly; abruptly with bytes of QEMU unread; after half of a message of its own. */
export type Leave = 'close' | 'abort' | 'half-message';

/** What a session does wrong on purpose. */
export interface SessionFault {
  /** Never answers this message, nor reads past it. */
  stall?: string;
  /** Answers this message only after LATE_MS; QEMU has to wait meanwhile. */
  late?: string;
}

/** How late a late answer is: long enough for anything that QEMU sends without waiting, short for every bound. */
const LATE_MS = 200;

/** Reads in a row, two a message. */
const PORTION = 256;

/** What a lost connection looks like: reading after a close with unread bytes, and writing after any close. */
const LOST: Readonly<Record<string, 'reset' | 'eof'>> = { ECONNRESET: 'reset', EPIPE: 'eof' };

export interface SessionOptions {
  socket: FdSocket;
  number: number;
  profile: Profile;
  recorder: Recorder;
  traffic: PeerTraffic;
  fault?: SessionFault;
  /** The cut that is armed, asked at every message. */
  cut?(): CutWatch | undefined;
  /** Called before the session leaves at a cut. */
  onCut?(): void;
  /** A second client beside the main session: flagged in the timeline. */
  extra?: boolean;
  /** `failed`: the peer closed because of an error. */
  onClose(failed: boolean): void;
}

/**
 * One connection with its negotiated state: a vhost-user-net back-end as the spec has it, answering the way DPDK's
 * vhost library does where the spec leaves room.
 */
export class Session {
  readonly number: number;
  readonly profile: Profile;
  readonly memory = new MemoryTable();
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
  #inflightFd: number | undefined;
  #received = 0;
  #stalled = false;
  /** Where to leave at the message that is being read, if it is the cut's. */
  #cutAt: CutPlace | undefined;
  /** The answer that is being held back. */
  #late: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SessionOptions) {
    this.#o = options;
    this.number = options.number;
    this.profile = options.profile;
    this.#socket = options.socket;
    this.#socket.onError((error) => this.fail(error));
    this.#socket.onReadable(() => this.#readable());
  }

  /** Whether its fault has silenced it. */
  get stalled(): boolean {
    return this.#stalled;
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
    if (!ring.running || this.#closed) return;
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
    this.#o.recorder.record({
      type: 'ring.start',
      session: this.number,
      ring: ring.index,
      size: ring.size,
      base: ring.base,
      usedIdx: queue.usedIdx(),
      availIdx: queue.availIdx(),
      usedFlags: queue.usedFlags(),
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
    const started = ring.queue !== undefined;
    const base = ring.stop();
    if (started) this.#o.recorder.record({ type: 'ring.stop', session: this.number, ring: ring.index, base });
    return base;
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

  /** Ends the session from the peer's side. `abort` is meant after stopReading and records how much stayed unread. */
  leave(how: Leave): void {
    if (this.#closed) return;
    if (how === 'half-message') {
      const reply = encodeMessage({ request: 11, flags: VERSION | FLAG_REPLY, payload: Buffer.alloc(8) });
      this.#socket.send(reply.subarray(0, reply.length / 2));
    }
    // An orderly exit leaves nothing unread, or it would look like an abrupt one to QEMU.
    if (how === 'close') this.#readable();
    const unread = this.unread;
    this.#end('peer', how, unread > 0 || how === 'abort' ? { unread } : {});
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
    try {
      // In portions: a front-end that floods must not starve the others. What is left is told again.
      for (let i = 0; i < PORTION && !this.#closed && !this.#stalled; i++) {
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

  /** One message: recorded, handled, answered. Fds that no handler keeps are closed. */
  #receive({ request, flags, payload, fds }: RawMessage): void {
    const kept = new Set<number>();
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
        body: decoded ? toJson(decoded) : { bytes: payload.subarray(0, 64).toString('hex') },
        fds: fds.length,
      });
      if (this.#cutAt === 'after-read') {
        this.#leaveAtCut('close');
        return;
      }
      if (this.#o.fault?.stall === name) {
        this.#stalled = true;
        this.#socket.pauseReading();
        return;
      }
      // DPDK answers NEED_REPLY on every message, whether or not REPLY_ACK was negotiated; an unknown one with failure.
      const ack = (value: bigint) => {
        if ((flags & FLAG_NEED_REPLY) !== 0) this.#reply(request, name, { kind: 'u64', value }, []);
      };
      const handler = handlers[name];
      let reply: Reply;
      try {
        if (spec && decoded) checkFds(name, fdRange(spec.request.fds, decoded), fds.length);
        const keep = () => {
          kept.add(fds[0]!);
          return fds[0]!;
        };
        reply = handler && decoded ? handler(this, decoded, { fds, keep }) : undefined;
      } catch (error) {
        ack(1n);
        throw error;
      }
      const answer = () => {
        if (reply) this.#reply(request, name, reply.payload, reply.fds ?? []);
        else ack(handler ? 0n : 1n);
        if (this.#cutAt === 'after-reply') this.#leaveAtCut('close');
      };
      if (this.#o.fault?.late === name) this.#late = setTimeout(answer, LATE_MS);
      else answer();
    } finally {
      for (const fd of fds) if (!kept.has(fd)) closeFd(fd);
    }
  }

  #reply(request: number, name: string, payload: Payload, fds: number[]): void {
    if (this.#closed) return;
    const bytes = encodePayload(payload);
    const flags = VERSION | FLAG_REPLY;
    const message = encodeMessage({ request, flags, payload: bytes });
    const half = { 'half-header': HEADER_SIZE / 2, 'half-payload': HEADER_SIZE + bytes.length / 2 }[
      this.#cutAt as string
    ];
    if (half !== undefined) {
      this.#socket.send(message.subarray(0, half), fds);
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
      size: bytes.length,
      body: toJson(payload),
      fds: fds.length,
      ...(ahead > 0 ? { ahead } : {}),
    });
    this.#socket.send(message, fds);
  }

  #end(
    by: 'peer' | 'front-end',
    how: 'close' | 'abort' | 'half-message' | 'error' | 'eof' | 'reset',
    more: { unread?: number; error?: string; code?: string; cut?: string } = {},
  ): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#late);
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
    this.#o.onClose(how === 'error');
  }
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
