import { rm } from 'node:fs/promises';
import { FdSocket, type Listener, listenUnix, OsError } from '../os/index.js';
import type { Recorder, Role } from '../timeline/index.js';
import { type Cut, CutWatch } from './cut.js';
import type { SessionFault } from './faults/index.js';
import { type PathWait, pathAppears } from './path-appears.js';
import { PeerError } from './peer-error.js';
import { DEFAULT_PROFILE, type Deviation, deviate, type Profile, profiles, whenListening } from './profiles.js';
import { type Leave, Session } from './session.js';
import { PeerTraffic, type Traffic } from './traffic.js';
import type { WrittenPages } from './written-pages.js';

/** What happens to the listening path when the peer leaves (client role). */
export type PathFate =
  /** The stale socket file stays and refuses (ECONNREFUSED), as after kill -9. */
  | 'keep'
  /** It is unlinked (ENOENT) and made anew on return, as after an orderly exit. */
  | 'remove'
  /** The listener stays; only the connection drops. */
  | 'listening'
  /** It stays and accepts nothing, as of a process that hangs: who dials waits in the backlog, and does not know. */
  | 'hung'
  /** Nor has its backlog room: who dials waits for that, or gets EAGAIN. */
  | 'full';

/** What comes back; what it does not say stays as it was. */
export interface Back {
  /** `original`: what the peer was at first. */
  profile?: Profile | 'original';
  /** How it differs from that, from now on. */
  deviation?: Deviation;
  /** What it does wrong until it leaves. */
  fault?: SessionFault;
}

/** What a peer is made with. */
export interface PeerOptions {
  role: Role;
  /** The vhost-user socket: QEMU's in server role, the peer's in client role. */
  path: string;
  profile?: Profile;
  recorder: Recorder;
}

/** DPDK's reconnect thread (lib/vhost/socket.c, vhost_user_client_reconnect) sleeps one second between rounds. */
const REDIAL_TICK_MS = 1000;

/** Room for who dials a listener that accepts nothing. */
const HUNG_BACKLOG = 128;
/** The backlog of a listener that is filled, and more dials than it can take: the kernel lets one more in than it says. */
const FILLED_BACKLOG = 1;
const FILL_LIMIT = 8;

/** Node's timers count whole milliseconds and fire up to this early; the same tick must not be taken twice. */
const TIMER_EARLY_MS = 2;

/** From bind(2), which makes the path, to listen(2) a starting QEMU refuses. */
const STARTUP_REDIAL_MS = 2;

/**
 * A whole mock OVS-DPDK as QEMU sees it: the socket, one session at a time, and the wish to be there or not.
 * In server role (of QEMU) it dials; in client role it listens.
 */
export class Peer<T extends Traffic = PeerTraffic> {
  readonly traffic: T;
  readonly #o: PeerOptions;
  readonly #original: Profile;
  #profile: Profile;
  #fault: SessionFault = {};
  #session: Session | undefined;
  #extras: Session[] = [];
  #listener: Promise<Listener> | undefined;
  /** The same, once it listens. */
  #listening: Listener | undefined;
  /** While the listener accepts nothing: what fills its backlog. */
  #hung: { fill: FdSocket[] } | undefined;
  /** Connections of ours, to be accepted before any other, that did nothing but fill the backlog. */
  #fills = 0;
  #cut: CutWatch | undefined;
  #written: WrittenPages | undefined;
  #sessions = 0;
  /** Whether the peer shall be there: it then redials what breaks. */
  #present = false;
  #tick: NodeJS.Timeout | undefined;
  #redialMs = REDIAL_TICK_MS;
  /** Ends the wait for a starting QEMU's socket. */
  #waiting: PathWait | undefined;
  /** The dial under way. There is one at most: what it gives serves the newest wish, or ends at once. */
  #dialling: Promise<void> | undefined;
  /** Resolve the promises of arrive. */
  #arrivals: (() => void)[] = [];

  /** @param traffic what it does with packets; the suite's own unless said */
  constructor(options: PeerOptions, traffic?: T) {
    this.#o = options;
    this.#original = options.profile ?? profiles[DEFAULT_PROFILE]!;
    this.#profile = this.#original;
    this.traffic = traffic ?? (new PeerTraffic(options.recorder) as Traffic as T);
  }

  /** The main session, while one is open. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** What it is, or will be when it arrives the next time. */
  get profile(): Profile {
    return this.#profile;
  }

  /** Whether it shall be there: in server role it then dials until it is. */
  get present(): boolean {
    return this.#present;
  }

  /**
   * Comes, or comes back. Server role: dials at once, then on a free-running 1 s tick like DPDK, and redials whenever
   * QEMU drops the connection; resolves when a session is open, or when it shall leave again. Client role: listens,
   * resolves when the path is there. A session that is open already stays as it is.
   * @param startup QEMU may not be listening yet: dial when its socket appears, and quickly again until it listens.
   */
  async arrive(back: Back = {}, startup = false): Promise<void> {
    this.#become(back);
    this.#present = true;
    this.traffic.releaseTx();
    if (this.#o.role === 'client') return this.#listen();
    if (this.#session) return;
    this.#redialMs = startup ? STARTUP_REDIAL_MS : REDIAL_TICK_MS;
    const arrived = new Promise<void>((resolve) => this.#arrivals.push(resolve));
    if (startup) await this.#awaitPath();
    if (this.#present) this.#redial();
    await arrived;
  }

  /**
   * Leaves. Resolves when the session is closed and the path is as asked.
   * @throws PeerError for a path that is to hang: ERR_NO_LISTENER, ERR_NO_SESSION
   */
  async leave(how: Leave, path: PathFate = 'keep'): Promise<void> {
    this.#absent();
    // A fault is of one arrival: a listener that stays may be dialled before the next.
    this.#fault = {};
    await this.#dialling;
    if (path === 'hung' || path === 'full') await this.#hang(path === 'full');
    else if (path !== 'listening') await this.#unlisten(path === 'remove');
    const session = this.#session;
    if (how === 'close' && session) this.#drain(session);
    session?.leave(how);
  }

  /** Goes on with the message that it holds back; what comes after this session holds nothing. @throws PeerError */
  resume(): void {
    if (!this.#session) throw new PeerError('ERR_NO_SESSION', 'no session to go on with', 'await fault first');
    const { hold: _, ...fault } = this.#fault;
    this.#fault = fault;
    this.#session.resume();
  }

  /**
   * Server role: the returning connection is established, waiting in QEMU's backlog, before the old session ends.
   * QEMU serves one client at a time, so nothing is read from the new one until then.
   */
  async overtake(how: Leave, back: Back = {}): Promise<void> {
    this.#become(back);
    const old = this.#session;
    if (!old) throw new PeerError('ERR_NO_SESSION', 'no session to overtake', 'await ready first');
    // Should the old session break meanwhile, this dial is the redial.
    this.#present = false;
    try {
      const socket = await this.#dial();
      this.#session = this.#open(socket, 'dial', false);
    } finally {
      this.#present = true;
    }
    if (how === 'close') this.#drain(old);
    old.leave(how);
    this.traffic.releaseTx();
  }

  /**
   * Another client dials beside the main session (server role). It would answer like any peer, so that a QEMU that serves
   * two at once is seen to; it becomes the main session when that ends.
   */
  async dialExtra(): Promise<void> {
    this.#extras.push(this.#open(await this.#dial(), 'dial', true));
  }

  /** How many other clients there are. */
  get waiting(): number {
    return this.#extras.length;
  }

  /** Ends the other clients, or the one that came last. */
  closeExtras(which: 'all' | 'last' = 'all'): void {
    for (const session of this.#extras.slice(which === 'all' ? 0 : -1)) session.leave('close');
  }

  /** Leaves for good: closes everything and removes its own path. */
  async close(): Promise<void> {
    this.#absent();
    await this.#dialling;
    await this.#unlisten(true);
    this.closeExtras();
    await this.leave('close');
  }

  /** What it is when it arrives the next time. */
  become(profile: Profile): void {
    this.#profile = profile;
  }

  /** From now on, on whichever session, waits for the point at which to leave. Another cut that was armed is none any more. */
  arm(cut: Cut): void {
    this.#cut = new CutWatch(cut);
  }

  /** Whether the peer left at the cut that is armed. */
  get cutFired(): boolean {
    return this.#cut?.fired ?? false;
  }

  /** @internal From now on notes there what it writes into the guest's buffers, on whichever session; undefined = nowhere. */
  noteWrites(written: WrittenPages | undefined): void {
    this.#written = written;
  }

  /** No cut is armed any more. */
  disarm(): void {
    this.#cut = undefined;
  }

  /** Injects what waits for the guest, as far as there are buffers. */
  pumpRx(): void {
    const session = this.#session;
    for (const ring of session?.runningRings ?? []) if (ring.dir === 'rx') session?.pump(ring);
  }

  #become({ profile = this.#profile, deviation = {}, fault = {} }: Back): void {
    this.#profile = deviate(profile === 'original' ? this.#original : profile, deviation);
    this.#fault = fault;
  }

  /** An orderly exit first finishes what waits on the rings. */
  #drain(session: Session): void {
    this.traffic.releaseTx();
    for (const ring of session.runningRings) session.pump(ring);
  }

  async #awaitPath(): Promise<void> {
    this.#waiting = pathAppears(this.#o.path);
    await this.#waiting.done;
  }

  #absent(): void {
    this.#present = false;
    this.#waiting?.giveUp();
    clearTimeout(this.#tick);
    this.#settleArrivals();
  }

  #settleArrivals(): void {
    for (const arrived of this.#arrivals.splice(0)) arrived();
  }

  async #listen(): Promise<void> {
    if (this.#listener !== undefined) {
      const listener = await this.#listener;
      if (this.#hung) this.#accepts(listener, this.#hung.fill);
      return;
    }
    const { path, recorder } = this.#o;
    this.#listener = listenUnix(path, (socket) => this.#accept(socket), { replace: true });
    try {
      this.#listening = await this.#listener;
    } catch (error) {
      this.#listener = undefined;
      throw error;
    }
    recorder.record({ type: 'peer.listen', path });
  }

  /** While QEMU is connected, or not there yet, so that it does not dial before the backlog is full. */
  async #hang(full: boolean): Promise<void> {
    // Nobody can be on the way to a listener that was never there: a QEMU that starts up meets it as it is then.
    const fresh = this.#o.role === 'client' && this.#sessions === 0 && !this.#listener;
    if (fresh) await this.#listen();
    const listener = this.#listening;
    if (!listener || this.#hung)
      throw new PeerError('ERR_NO_LISTENER', 'no listener that accepts', 'this is for a QEMU that dials');
    if (!this.#session && !fresh) throw new PeerError('ERR_NO_SESSION', 'no session to leave', 'await ready first');
    const { path, recorder } = this.#o;
    const fill: FdSocket[] = [];
    this.#hung = { fill };
    listener.pause(full ? FILLED_BACKLOG : HUNG_BACKLOG);
    if (full) await fillBacklog(path, fill);
    recorder.record({ type: 'peer.hung', path, ...(full ? { full } : {}) });
  }

  /** Whoever waits is served now. */
  #accepts(listener: Listener, fill: readonly FdSocket[]): void {
    this.#hung = undefined;
    this.#fills = fill.length;
    for (const socket of fill) socket.close();
    const { path, recorder } = this.#o;
    recorder.record({ type: 'peer.accepts', path });
    listener.resume();
  }

  async #unlisten(remove: boolean): Promise<void> {
    await this.#listener;
    if (!this.#stopListening()) return;
    if (remove) await rm(this.#o.path, { force: true });
    this.#o.recorder.record({ type: 'peer.unlisten', path: this.#o.path, removed: remove });
  }

  /** At once, not in a later turn. @returns whether it listened */
  #stopListening(): boolean {
    const listening = this.#listening;
    this.#listener = undefined;
    this.#listening = undefined;
    for (const socket of this.#hung?.fill ?? []) socket.close();
    this.#hung = undefined;
    this.#fills = 0;
    void listening?.close();
    return listening !== undefined;
  }

  /** As after kill -9: nobody dials, nobody listens, the path stays. */
  #leaveAtCut(): void {
    this.#absent();
    this.#fault = {};
    if (this.#stopListening()) this.#o.recorder.record({ type: 'peer.unlisten', path: this.#o.path, removed: false });
  }

  /** A second connection while one is open is served too, as OVS would, and flagged. */
  #accept(socket: FdSocket): void {
    if (this.#fills > 0) {
      this.#fills--;
      socket.close();
      return;
    }
    const extra = this.#session !== undefined;
    const session = this.#open(socket, 'accept', extra);
    if (extra) this.#extras.push(session);
    else this.#session = session;
  }

  #redial(): void {
    clearTimeout(this.#tick);
    this.#dialling ??= this.#tryDial().finally(() => {
      this.#dialling = undefined;
    });
  }

  async #tryDial(): Promise<void> {
    try {
      const session = this.#open(await this.#dial(), 'dial', false);
      // Shall it not be there any more, QEMU sees a client that comes and goes.
      if (!this.#present) return session.leave('close');
      this.#session = session;
      this.#redialMs = REDIAL_TICK_MS;
      this.#settleArrivals();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      if (this.#present) this.#redialOnTick();
    }
  }

  /** The tick runs free of when the connection broke: the next full multiple of the period. */
  #redialOnTick(): void {
    const now = this.#o.recorder.now();
    const next = (Math.floor((now + TIMER_EARLY_MS) / this.#redialMs) + 1) * this.#redialMs;
    this.#tick = setTimeout(() => this.#redial(), next - now);
  }

  async #dial(): Promise<FdSocket> {
    const { path, recorder } = this.#o;
    const session = this.#sessions + 1;
    recorder.record({ type: 'peer.dial', path, session });
    try {
      return await FdSocket.dial(path);
    } catch (error) {
      if (error instanceof OsError) recorder.record({ type: 'peer.dial-failed', path, session, code: error.code });
      throw error;
    }
  }

  #open(socket: FdSocket, by: 'dial' | 'accept', extra: boolean): Session {
    const number = ++this.#sessions;
    this.#o.recorder.record({
      type: 'session.open',
      session: number,
      by,
      pid: socket.peerPid,
      ...(extra ? { extra: true as const } : {}),
    });
    const session: Session = new Session({
      socket,
      number,
      profile: this.#o.role === 'client' ? whenListening(this.#profile) : this.#profile,
      recorder: this.#o.recorder,
      traffic: this.traffic,
      fault: this.#fault,
      cut: () => this.#cut,
      onCut: () => this.#leaveAtCut(),
      wrote: (guestAddr, bytes) => this.#written?.add(guestAddr, bytes),
      extra,
      onClose: (refused) => this.#closed(session, refused),
    });
    return session;
  }

  #closed(session: Session, refused: boolean): void {
    if (this.#session !== session) {
      this.#extras = this.#extras.filter((extra) => extra !== session);
      return;
    }
    this.#session = this.#extras.shift();
    if (this.#session || !this.#present || this.#o.role === 'client') return;
    // DPDK's vhost_user_read_cb: a client whose connection broke dials again at once. Not so here after a refusal, by QEMU or
    // by the peer: it would come again, as fast as both can.
    if (refused) this.#tick = setTimeout(() => this.#redial(), REDIAL_TICK_MS);
    else this.#redial();
  }
}

/** Dials until nobody gets in any more. @throws OsError; PeerError ERR_BACKLOG when there is no end of it */
async function fillBacklog(path: string, fill: FdSocket[]): Promise<void> {
  while (fill.length < FILL_LIMIT) {
    try {
      fill.push(await FdSocket.dial(path));
    } catch (error) {
      if (error instanceof OsError && error.code === 'EAGAIN') return;
      throw error;
    }
  }
  throw new PeerError('ERR_BACKLOG', `a backlog of ${FILLED_BACKLOG} took ${FILL_LIMIT} connections`);
}
