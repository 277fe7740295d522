import { join } from 'node:path';
import { CutOff, QemuGone, type Selection, StepFailed, StepTimeout, type Variant, verbs } from '../cases/index.js';
import { DriverError } from '../driver/index.js';
import { OsError } from '../os/index.js';
import { type FrameTraffic, type Peer, PeerError, type Profile, SwitchedPeer } from '../peer/index.js';
import { QemuError, type QemuProcess } from '../qemu/index.js';
import { Capture, type Switch, type SwitchNotice } from '../switch/index.js';
import {
  type Event,
  type Json,
  type Ms,
  Recorder,
  type Role,
  type RunBegin,
  type SeqRanges,
  TimelineWriter,
  toRanges,
} from '../timeline/index.js';
import { DrillError } from './error.js';
import { LiveStage } from './live-stage.js';
import type { Observer } from './observer.js';
import { PortTracker } from './port-state.js';
import { RestartLog } from './restart-log.js';
import type { PortState } from './view.js';

/** What a drill knows of the QEMU behind a port once it is found; see RunBegin. */
export interface Identity {
  version: string;
  argv: string[];
  queuePairs: number;
  reconnectMs: Ms;
  machine: string;
  memory: number;
}

export interface PortOptions {
  name: string;
  role: Role;
  socket: string;
  profile: Profile;
  /** The drill's folder; what the port stores has its name. */
  out: string;
  /** Of the timeline, without extension. */
  file: string;
  /** The clock. */
  like?: Recorder;
  tester: string;
  startedAt: Date;
  driver: RunBegin['driver'];
  /** See RunBegin. */
  joined: boolean;
  network: Switch;
  observer(): Observer;
  /** Bytes of the packet capture; 0 = none. */
  captureBytes: number;
  /** Told when a file of the record cannot be written any more. */
  incomplete(file: string, error: Error): void;
}

/** Events that stay in memory; the rest is on disk. */
const KEEP = 4000;
/** Pings within that time are told together: a guest that floods must not fill the timeline. */
const ECHO_MS: Ms = 20;

type Echo = Extract<SwitchNotice, { kind: 'echo' }>;

/** One vhost-user socket of a drill: the peer on it, its port of the switch, its timeline. */
export class Port {
  readonly name: string;
  readonly role: Role;
  readonly socket: string;
  readonly recorder: Recorder;
  readonly writer: TimelineWriter;
  readonly peer: Peer<FrameTraffic>;
  readonly tracker: PortTracker;
  readonly restarts = new RestartLog();
  readonly capture: Capture | undefined;
  readonly variant: Variant;
  readonly #o: PortOptions;
  readonly #switched: SwitchedPeer;
  #stage: LiveStage | undefined;
  #identified = false;
  #ended = false;
  /** Events before QEMU was known: what it is stands in the first one. */
  #early: Event[] = [];
  #echoes: Echo[] = [];
  #echoTimer: NodeJS.Timeout | undefined;
  #echoAt: Ms = -Infinity;
  #steps = 0;
  #busy: string | undefined;

  /** @throws the file system's error */
  constructor(options: PortOptions) {
    this.#o = options;
    const { name, role, socket, profile, out, driver } = options;
    this.name = name;
    this.role = role;
    this.socket = socket;
    this.recorder = new Recorder({ keep: KEEP, ...(options.like && { like: options.like }) });
    const file = join(out, options.file);
    this.writer = new TimelineWriter(file, (error) => options.incomplete(file, error));
    this.capture =
      options.captureBytes > 0
        ? new Capture({
            file: this.#captureFile,
            port: name,
            startedAt: options.startedAt,
            limitBytes: options.captureBytes,
            application: options.tester,
          })
        : undefined;
    this.variant = variantOf(name, role, driver);
    this.tracker = new PortTracker({ port: name, role, socket });
    this.recorder.listen((event) => this.#took(event));
    this.recorder.record({
      type: 'run.begin',
      schema: 1,
      variant: this.variant.id,
      case: this.variant.caseId,
      role,
      machine: 'unknown',
      profile: profile.name,
      driver,
      queuePairs: 1,
      memory: 0,
      reconnectMs: 0,
      socketPath: socket,
      qemu: { version: '0.0.0', argv: [] },
      ...(options.joined && { joined: true }),
      tester: options.tester,
      startedAt: options.startedAt.toISOString(),
    });
    const about = { role, path: socket, profile, recorder: this.recorder };
    this.#switched = new SwitchedPeer(about, options.network, name, (direction, frame) =>
      this.capture?.frame(direction, frame, this.recorder.now()),
    );
    this.peer = this.#switched.peer;
  }

  get #captureFile(): string {
    return join(this.#o.out, `${this.name}.pcapng`);
  }

  /** Where the port's steps act. */
  stage(qemu?: QemuProcess): LiveStage {
    this.#stage ??= new LiveStage({
      variant: this.variant,
      recorder: this.recorder,
      peer: this.peer,
      observer: this.#o.observer(),
      ...(qemu && { qemu, boots: this.#o.driver === 'guest' }),
      wantedRings: () => this.restarts.wanted,
    });
    return this.#stage;
  }

  /** What it is in: as its events tell, and what only the peer knows. */
  get state(): PortState {
    const { state } = this.tracker;
    const { profile, present } = this.peer;
    // Of a dial that is given up no event tells.
    const gaveUp = state.role === 'server' && state.peer === 'waiting' && !present;
    return { ...state, profile: profile.name, ...(gaveUp && { peer: 'away' }) };
  }

  get identified(): boolean {
    return this.#identified;
  }

  /** The QEMU behind the port is known: what was recorded so far, and this, is stored from now on. */
  identify(identity: Partial<Identity>): void {
    if (this.#identified) return;
    this.#identified = true;
    const { version = '0.0.0', argv = [], queuePairs = 1, reconnectMs = 0, machine = 'unknown', memory = 0 } = identity;
    const about = { queuePairs, reconnectMs, machine, memory, qemu: { version, argv } };
    this.variant.queuePairs = queuePairs;
    this.variant.reconnectMs = reconnectMs;
    const [begin, ...rest] = this.#early;
    Object.assign(begin as Event, about);
    for (const event of [begin!, ...rest]) this.writer.append(event);
    this.#early = [];
  }

  /** Frames and bytes of the guest, as the switch counts them; and what was for a guest that could not get it. */
  get counters() {
    return this.#switched.counters;
  }

  /** The verb that is at work. */
  get busy(): string | undefined {
    return this.#busy;
  }

  /**
   * Does one thing that an operator asked for, as a step of the timeline.
   * @throws DrillError ERR_BUSY while another is at work; ERR_STEP when it did not come about, with the reason
   */
  async perform(verb: string, params: Json, act: (stage: LiveStage) => Promise<void>): Promise<void> {
    const stage = this.#stage!;
    if (this.#busy !== undefined)
      throw new DrillError('ERR_BUSY', `${this.name} is at it: ${this.#busy}`, 'wait for its end, or send stop');
    this.#busy = verb;
    const index = this.#steps++;
    this.recorder.record({ type: 'step.begin', index, verb, params });
    try {
      await act(stage);
      this.recorder.record({ type: 'step.end', index, verb, outcome: 'done' });
    } catch (error) {
      const known = [CutOff, StepTimeout, StepFailed, QemuGone, QemuError, DriverError, PeerError, OsError];
      if (!known.some((kind) => error instanceof kind)) throw error;
      const { message } = error as Error;
      const hint = 'hint' in (error as object) ? String((error as { hint?: string }).hint) : undefined;
      this.recorder.record({ type: 'step.end', index, verb, outcome: outcomeOf(error), reason: message });
      throw new DrillError('ERR_STEP', `${this.name}: ${verb}: ${message}`, hint);
    } finally {
      this.#busy = undefined;
      stage.rearm();
    }
  }

  /** The same for one of the verbs of cases. */
  act(verb: string, params: unknown): Promise<void> {
    const { run } = verbs.find(({ name }) => name === verb)!;
    return this.perform(verb, params as Json, (stage) => run(stage, params));
  }

  /** Leaves, and closes what is its own; resolves when all is stored. */
  async close(): Promise<void> {
    this.#stage?.stop('the drill ends');
    clearTimeout(this.#echoTimer);
    this.#flushEchoes();
    await this.peer.close();
    this.#switched.disconnect();
    await this.capture?.close().catch((error: Error) => this.#o.incomplete(this.#captureFile, error));
  }

  /** Ends the timeline: what happens later is not of it. */
  end(): void {
    this.recorder.record({ type: 'run.end' });
    this.#ended = true;
  }

  /** Stores what is not stored yet, whoever QEMU was, and no more. */
  store(): void {
    this.identify({});
    this.writer.close();
  }

  /** An echo request of the guest was answered. */
  echo(notice: Echo): void {
    this.#echoes.push(notice);
    const wait = this.#echoAt + ECHO_MS - this.recorder.now();
    if (wait <= 0) this.#flushEchoes();
    else this.#echoTimer ??= setTimeout(() => this.#flushEchoes(), wait);
  }

  #flushEchoes(): void {
    clearTimeout(this.#echoTimer);
    this.#echoTimer = undefined;
    this.#echoAt = this.recorder.now();
    const runs = new Map<string, Echo[]>();
    for (const echo of this.#echoes.splice(0)) {
      const run = `${echo.from} ${echo.id}`;
      runs.set(run, [...(runs.get(run) ?? []), echo]);
    }
    const session = this.peer.session?.number;
    if (session === undefined) return;
    for (const [{ from, id }, seqs] of [...runs.values()].map((run) => [run[0]!, seqsOf(run)] as const))
      this.recorder.record({ type: 'guest.echo', from, id, seqs, session });
  }

  #took(event: Event): void {
    this.tracker.take(event);
    this.restarts.take(event);
    if (this.#ended) return;
    if (this.#identified) this.writer.append(event);
    else this.#early.push(event);
  }
}

const seqsOf = (run: readonly Echo[]): SeqRanges => toRanges(run.map(({ seq }) => seq));

const outcomeOf = (error: unknown) =>
  error instanceof CutOff ? 'cut' : error instanceof StepTimeout ? 'timeout' : 'failed';

/** A port as cases see it: a variant that has no schedule. */
function variantOf(port: string, role: Role, driver: RunBegin['driver']): Variant {
  return {
    id: `drill[port=${port}]`,
    caseId: 'drill',
    title: 'A drill by hand',
    level: 'must',
    why: 'What an operator did to a virtual machine’s back-end, and what became of it.',
    references: [],
    role,
    machine: 'q35',
    usual: true,
    driver: driver === 'linux' ? 'linux' : 'none',
    queuePairs: 1,
    ring: 'split',
    reconnectMs: 0,
    memory: 0,
    start: 'peer-first',
    needs: [],
    steps: [],
    params: { port },
    minimumMs: 0,
    selection: 'full' satisfies Selection,
  };
}
