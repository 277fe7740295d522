import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { closeFd, FdSocket, type Listener, listenUnix, OsError } from '../../src/os/index.js';
import { Peer, profiles } from '../../src/peer/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { wrap16 } from '../../src/virtio/index.js';
import { encodeMessage, encodePayload } from '../../src/wire/index.js';
import { FrontEnd } from '../peer/front-end.js';
import { seen } from '../peer/rig.js';
import { RecordedGuest, type RecordedRing } from './recorded-guest.js';
import { makesRings, Script } from './script.js';
import {
  type ConnectionLine,
  fieldsText,
  isMessage,
  type MessageLine,
  type PhaseName,
  payloadOf,
  regionsOf,
  type Transcript,
} from './transcript.js';

/** What a replay saw. */
export interface ReplayResult {
  sessions: number;
  /** Messages of the front-end that were sent: the sum of the next three. */
  sent: number;
  /** Answered as recorded: number, flags, size, payload and count of descriptors. */
  answered: number;
  /** Not answered, as recorded. */
  silent: number;
  /** Sent to a back-end that had stopped reading. */
  unread: number;
  /** Packets that the rings moved, to get where they were recorded to be. */
  packets: number;
  /** What was not as recorded; the replay ends with the first. */
  deviation?: string;
}

/**
 * Plays the front-end's part of a transcript to a mock peer, over a real socket with real descriptors, memory and rings,
 * and compares what the peer answers with what the real back-end answered.
 * @param dir where the socket is made
 */
export async function replay(transcript: Transcript, dir: string): Promise<ReplayResult> {
  const player = new Player(transcript, join(dir, 's'));
  try {
    await player.play();
  } catch (error) {
    if (!(error instanceof Deviation)) throw error;
    player.result.deviation = error.message;
  } finally {
    await player.close();
  }
  return player.result;
}

class Deviation extends Error {}

class Player {
  readonly result: ReplayResult = { sessions: 0, sent: 0, answered: 0, silent: 0, unread: 0, packets: 0 };
  readonly #role: Transcript['role'];
  readonly #path: string;
  readonly #script: Script;
  readonly #recorder = new Recorder();
  readonly #peer: Peer;
  readonly #guest: RecordedGuest;
  #listener: Listener | undefined;
  /** Who waits for the next connection (server role). */
  #accept: (socket: FdSocket) => void = () => {};
  #frontEnd: FrontEnd | undefined;
  /** The back-end of the session reads no further. */
  #deaf = false;
  #at = 0;

  constructor(transcript: Transcript, path: string) {
    const { name, role, profile } = transcript;
    if (!profiles[profile]) throw new Error(`${name}: no profile ${profile}`);
    this.#role = role;
    this.#path = path;
    this.#peer = new Peer({ role, path, profile: profiles[profile], recorder: this.#recorder });
    this.#script = new Script(transcript);
    this.#guest = new RecordedGuest(this.#script.memoryLength);
  }

  async play(): Promise<void> {
    if (this.#role === 'server')
      this.#listener = await listenUnix(this.#path, (socket) => {
        this.#accept(socket);
      });
    for (const [at, { line, phase }] of this.#script.lines.entries()) {
      this.#at = at;
      if (!isMessage(line)) await this.#connection(line);
      else if (line.from === 'front-end') await this.#message(line, phase);
    }
  }

  async close(): Promise<void> {
    this.#frontEnd?.close();
    await this.#peer.close();
    await this.#listener?.close();
    this.#guest.close();
  }

  async #connection({ what, times }: ConnectionLine): Promise<void> {
    const peer = this.#peer;
    switch (what) {
      case 'connected':
        return this.#connect();
      case 'ECONNREFUSED':
      case 'ENOENT':
        // A stale path that whoever cleaned up removed while the back-end was away.
        if (what === 'ENOENT' && this.#says(-1, 'ECONNREFUSED')) await rm(this.#path);
        for (let i = 0; i < times; i++) await this.#dialFails(what);
        return;
      case 'eof':
      case 'reset':
        await this.#runRings();
        await peer.leave(this.#says(1, 'ENOENT') ? 'close' : 'abort', this.#says(1, 'ENOENT') ? 'remove' : 'keep');
        return this.#hungUp(what === 'eof' ? 'eof' : 'ECONNRESET');
      case 'stops-reading':
        this.#deaf = true;
        peer.session!.stopReading();
        return;
      case 'killed':
      case 'quit':
        return this.#hangUp();
    }
  }

  async #connect(): Promise<void> {
    const accepted = new Promise<FdSocket>((resolve) => {
      this.#accept = resolve;
    });
    await this.#peer.arrive();
    this.#frontEnd = new FrontEnd(this.#listener ? await accepted : await FdSocket.dial(this.#path));
    this.result.sessions++;
    this.#deaf = false;
    await seen(this.#recorder, 'session.open', ({ session }) => session === this.result.sessions);
  }

  async #dialFails(code: string): Promise<void> {
    const failure: unknown = await FdSocket.dial(this.#path).then(
      (socket) => socket.close(),
      (error: unknown) => error,
    );
    if (!(failure instanceof OsError && failure.code === code))
      throw new Deviation(`a dial gave ${failure}, not ${code}`);
  }

  /** The back-end's end of the connection shows as recorded. */
  async #hungUp(how: 'eof' | 'ECONNRESET'): Promise<void> {
    const ended = await this.#frontEnd!.ended;
    if (ended.how !== how || ended.partial > 0)
      throw new Deviation(
        `the connection ended by ${ended.how}, after ${ended.partial} bytes of a message, not by ${how}`,
      );
    this.#frontEnd!.close();
  }

  /** QEMU ends. Bytes of the peer that nobody read would show as a reset. */
  async #hangUp(): Promise<void> {
    // With QEMU its listener goes, or the peer would be back at once.
    await this.#listener?.close();
    this.#frontEnd!.close();
    const { by, how } = await seen(this.#recorder, 'session.close', ({ session }) => session === this.result.sessions);
    if (by !== 'front-end' || how !== 'eof') throw new Deviation(`the session ended by ${by}: ${how}`);
  }

  async #message(line: MessageLine, phase: PhaseName): Promise<void> {
    const { name, request, flags, body } = line;
    if (name === 'GET_VRING_BASE' || (name === 'SET_STATUS' && BigInt(body.value as string) === 0n))
      await this.#runRings();
    this.#prepare(line, phase);
    const from = this.#recorder.events.length;
    const payload = encodePayload(payloadOf(line));
    this.#guest.withFds(line, (fds) => this.#frontEnd!.socket.send(encodeMessage({ request, flags, payload }), fds));
    this.result.sent++;
    if (this.#deaf) {
      this.result.unread++;
      return;
    }
    await this.#arrived(from);
    // The peer answers in the turn that it receives in: whether it did is decided now.
    const replies = this.#recorder.events.slice(from).filter(({ type }) => type === 'wire.send').length;
    const recorded = this.#script.replyTo(this.#at);
    if (replies !== (recorded ? 1 : 0))
      throw new Deviation(`${place(line)}: ${replies} replies, but ${recorded ? 1 : 0} recorded`);
    if (!recorded) {
      this.result.silent++;
      return;
    }
    await this.#compareReply(recorded);
    this.result.answered++;
  }

  /** Resolves when the peer has read the message. @throws Deviation when it hangs up on it */
  async #arrived(from: number): Promise<void> {
    const hung = seen(this.#recorder, 'session.close', ({ seq }) => seq >= from);
    await Promise.race([seen(this.#recorder, 'wire.recv', ({ seq }) => seq >= from), hung]);
    const close = this.#recorder.events.slice(from).find(({ type }) => type === 'session.close');
    if (close?.type === 'session.close') throw new Deviation(`the peer hung up: ${close.error ?? close.how}`);
  }

  async #compareReply(recorded: MessageLine): Promise<void> {
    const { request, flags, payload, fds } = await this.#frontEnd!.next();
    fds.forEach(closeFd);
    const same =
      request === recorded.request &&
      flags === recorded.flags &&
      payload.length === recorded.size &&
      payload.equals(encodePayload(payloadOf(recorded))) &&
      fds.length === recorded.fds;
    if (!same)
      throw new Deviation(
        `${place(recorded)}: replied ${request}, flags ${flags}, ${fds.length} fds, payload ${payload.toString('hex')}; ` +
          `recorded ${recorded.request}, flags ${recorded.flags}, ${recorded.fds} fds, ${fieldsText(recorded.body)}`,
      );
  }

  /** What the guest's memory must be like before this message. */
  #prepare({ name, body }: MessageLine, phase: PhaseName): void {
    const guest = this.#guest;
    if (name === 'SET_MEM_TABLE') guest.announce(regionsOf(body));
    if (name === 'SET_VRING_NUM') guest.ring(body.index as number).size = body.num as number;
    if (name === 'SET_VRING_BASE') guest.ring(body.index as number).base = body.num as number;
    if (name !== 'SET_VRING_ADDR') return;
    guest.place(body, makesRings(phase));
    const ring = guest.ring(body.index as number);
    const used = guest.usedIdx(ring);
    // QEMU takes the base from the ring, or from GET_VRING_BASE, by which all buffers are back.
    if (used !== ring.base) throw new Deviation(`ring ${ring.index} has used index ${used}, but base ${ring.base}`);
  }

  /** Whether the line `by` places on says this. */
  #says(by: number, what: ConnectionLine['what']): boolean {
    return this.#script.says(this.#at + by, what);
  }

  /** Moves packets until every running ring is where the transcript next tells it to be. */
  async #runRings(): Promise<void> {
    for (const { index } of this.#peer.session?.runningRings ?? []) {
      const ring = this.#guest.ring(index);
      const target = this.#script.nextIndex(this.#at, index);
      if (target !== undefined) await this.#advance(ring, target);
    }
  }

  async #advance(ring: RecordedRing, target: number): Promise<void> {
    const { traffic } = this.#peer;
    for (;;) {
      const used = this.#guest.usedIdx(ring);
      const count = Math.min(wrap16(target - used), ring.size);
      if (count === 0) return;
      const first = this.#guest.offer(ring, count);
      this.result.packets += count;
      if (ring.index % 2 === 1) {
        const last = first + count - 1;
        await seen(this.#recorder, 'packets.seen', (e) => e.pair === ring.index >> 1 && e.seqs.at(-1)?.[1] === last);
      } else {
        traffic.queueRx(ring.index >> 1, first, count);
        this.#peer.pumpRx();
      }
      if (this.#guest.usedIdx(ring) !== wrap16(used + count)) throw new Deviation(`ring ${ring.index} stands still`);
    }
  }
}

const place = ({ t, name }: MessageLine) => `${t.toFixed(4)} ${name}`;
