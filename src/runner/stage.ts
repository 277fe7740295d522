import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Activity,
  type Burst,
  type CommandAnswer,
  CutOff,
  type MigrationChoice,
  QemuGone,
  type Stage,
  StepFailed,
  StepTimeout,
  type Variant,
  verbs,
} from '../cases/index.js';
import { judgedOptions, optionsRefused, spent } from '../contract/index.js';
import { Driver, DriverError, type StartChoice } from '../driver/index.js';
import { guestAppend, recordGuest } from '../guest/index.js';
import { limitDescriptors, listenUnix, listFds, OsError } from '../os/index.js';
import { type Cut, cutText, Peer, PeerError, PeerTraffic, type Profile, type Traffic } from '../peer/index.js';
import {
  type AccelChoice,
  type CommandLineOptions,
  commandLine,
  type Heartbeat,
  launch,
  type Pluggable,
  plugCommand,
  QemuError,
  type QemuFacts,
  type QemuProcess,
  type QmpClient,
  QmpError,
  SecondMonitor,
  startHeartbeat,
} from '../qemu/index.js';
import type { Json, Ms, Recorder } from '../timeline/index.js';
import { ChardevWatch, ProcessWatch, SocketWatch } from '../watch/index.js';
import { BusyDriver } from './busy-driver.js';
import { guestPeer } from './guest-peer.js';
import { type Expected, Ledger } from './ledger.js';
import { Migration } from './migration.js';

/** How long a step waits for its event. Longer than any bound of the contract, so that a late event is still seen. */
const STEP_DEADLINE_MS: Ms = 10_000;

/**
 * A step that the machine kept waiting gets the time on top, up to so many deadlines in all: at a load of 25 on two cores,
 * where one of twelve who want a CPU has one, the start of a driver missed four. Time in which the tester itself stood still
 * is no part of them.
 */
const LONGEST_STEP = 12;

/** Less is not worth another wait. */
const WORTH_WAITING_MS: Ms = 50;

/** How often QEMU is looked at from outside; the shortest bound of the contract is ten times that. */
const SAMPLE_MS: Ms = 100;

/** R2's bound: from here on an unanswered heartbeat is worth an event of its own. */
const SILENCE_MS: Ms = 1000;

/** How long a guest may take to boot: ten times what two at a time take. How fast it does is no requirement's business. */
const BOOT_DEADLINE_MS: Ms = 120_000;

/** How long QEMU may take to exit after quit before it is killed. */
const QUIT_DEADLINE_MS: Ms = 10_000;

export interface StageOptions {
  variant: Variant;
  recorder: Recorder;
  facts: QemuFacts;
  profile: Profile;
  accel: AccelChoice;
  /** The variant's private directory. */
  dir: string;
  biosPath: string;
  /** What a variant with a guest of its own boots: files. */
  guest?: GuestImage;
  testerVersion: string;
  /** Aborted when the run is interrupted. */
  signal: AbortSignal;
}

/** What a guest boots from: paths of a bzImage and of an initramfs. */
export interface GuestImage {
  kernel: string;
  initrd: string;
}

/** One QEMU, its peer, its driver and what watches them, for one variant. */
export class VariantStage implements Stage {
  readonly variant: Variant;
  readonly recorder: Recorder;
  readonly peer: Peer<Traffic>;
  /** The peer's end of the driver's traffic. */
  readonly #traffic: PeerTraffic;
  readonly #o: StageOptions;
  readonly #socketPath: string;
  readonly #ledger = new Ledger();
  /** What QEMU is started as. */
  readonly #machine: CommandLineOptions;
  readonly #argv: string[];
  #qemu: QemuProcess | undefined;
  /** The monitor, once it is there. */
  #monitor: QmpClient | undefined;
  #driver: Driver | undefined;
  /** What the driver does in the background. */
  #busy: BusyDriver | undefined;
  #process: ProcessWatch | undefined;
  #socket: SocketWatch | undefined;
  #chardev: ChardevWatch | undefined;
  #heartbeat: Heartbeat | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** A guest of its own that was up before this event starts anew. */
  #resetSeq = 0;
  /** Pings of a guest of its own that were answered. */
  #pings = 0;
  #quitSent = false;
  #interrupted: Promise<never>;
  #interrupt = () => {};
  #bursts = 0;
  /** QEMU's own limit of descriptors, while another is in force. */
  #usualLimit: number | undefined;
  /** What was begun and that nobody has waited for yet. */
  #begun: { what: string; work: Promise<unknown> }[] = [];
  /** The cut of the phase under way, if there is one. */
  #cut: Cut | undefined;
  #migration: Migration | undefined;
  /** The client of the second monitor. */
  #second: SecondMonitor | undefined;
  #seconds = 0;
  #migrations = 0;

  /** Records run.begin. @throws QemuError when the binary cannot run such a variant */
  constructor(options: StageOptions) {
    this.#o = options;
    const { variant, recorder, facts, profile, dir } = options;
    this.variant = variant;
    this.recorder = recorder;
    this.#socketPath = join(dir, 'vhost-user.sock');
    this.#machine = {
      facts,
      role: variant.role,
      machine: variant.machine,
      accel: options.accel,
      queuePairs: variant.queuePairs,
      ring: variant.ring,
      memory: variant.memory,
      ...(variant.mtu === undefined ? {} : { mtu: variant.mtu }),
      ...(variant.extras === undefined ? {} : { extras: variant.extras }),
      reconnectMs: variant.reconnectMs,
      ...(variant.chardev ? { chardev: variant.chardev } : {}),
      socketPath: this.#socketPath,
      qmpPath: join(dir, 'qmp.sock'),
      qtestPath: join(dir, 'qtest.sock'),
      monitorPath: join(dir, 'monitor.sock'),
      biosPath: options.biosPath,
      ...(variant.driver === 'guest' && {
        guest: { ...imageOf(options), append: guestAppend(), consolePath: join(dir, 'console.sock') },
      }),
    };
    this.#argv = commandLine(this.#machine);
    recorder.record({
      type: 'run.begin',
      schema: 1,
      variant: variant.id,
      case: variant.caseId,
      role: variant.role,
      machine: variant.machine,
      profile: profile.name,
      driver: variant.driver,
      queuePairs: variant.queuePairs,
      ...(variant.ring === 'packed' ? { ring: variant.ring } : {}),
      memory: variant.memory,
      ...(variant.mtu === undefined ? {} : { mtu: variant.mtu }),
      reconnectMs: variant.role === 'client' ? variant.reconnectMs : 0,
      socketPath: this.#socketPath,
      ...(variant.chardev ? { chardev: { options: { ...variant.chardev }, known: judged(facts) } } : {}),
      qemu: { version: facts.version, argv: [facts.path, ...this.#argv] },
      tester: options.testerVersion,
      startedAt: new Date().toISOString(),
    });
    recorder.listen(this.#ledger.listen);
    this.#interrupted = new Promise((_, reject) => {
      this.#interrupt = () => reject(new StepFailed('interrupted'));
    });
    this.#interrupted.catch(() => {});
    options.signal.addEventListener('abort', this.#interrupt);
    // It may have come just before.
    if (options.signal.aborted) this.#interrupt();
    const about = { role: variant.role, path: this.#socketPath, profile, recorder };
    this.#traffic = new PeerTraffic(recorder);
    this.peer = variant.driver === 'guest' ? guestPeer(about) : new Peer(about, this.#traffic);
    recorder.listen(({ type }) => {
      if (type === 'guest.ping') this.#pings++;
    });
  }

  /**
   * Runs the schedule. The peer comes before QEMU unless the case wants it otherwise; a listening QEMU is always first.
   * @returns normally in any case: how the steps ended is in the timeline.
   */
  async run(): Promise<void> {
    const { role, start, steps } = this.variant;
    if (role === 'server' || start === 'qemu-first') await this.#launch();
    for (const [index, { verb, params }] of steps.entries()) {
      // What is left of a phase needs the peer that has left; its end ends the phase.
      if (this.peer.cutFired && !(verb === 'phase' && params === 'end')) continue;
      this.recorder.record({ type: 'step.begin', index, verb, params: params as Json });
      const failure = await this.#attempt(verb, params);
      if (failure) {
        const outcome = failure instanceof CutOff ? 'cut' : failure instanceof StepTimeout ? 'timeout' : 'failed';
        this.recorder.record({ type: 'step.end', index, verb, outcome, reason: failure.message });
        if (outcome !== 'cut') return;
        continue;
      }
      this.recorder.record({ type: 'step.end', index, verb, outcome: 'done' });
      await this.#launch();
    }
  }

  /** @returns why the step did not happen; undefined when it did. @throws what is a bug of the tester */
  async #attempt(verb: string, params: unknown): Promise<Error | undefined> {
    try {
      await verbs.find(({ name }) => name === verb)!.run(this, params);
      return undefined;
    } catch (error) {
      // The schedule may go on past a quit that it sent; it ends with QEMU.
      if (error instanceof QemuGone && (this.#quitSent || (await this.#optionsRefused()))) return undefined;
      if (error instanceof QemuGone) return new StepFailed(await this.#lastWords());
      const known = [CutOff, StepTimeout, StepFailed, QemuError, DriverError, PeerError, OsError];
      if (known.some((kind) => error instanceof kind)) return error as Error;
      throw error;
    }
  }

  /** Starts QEMU and what watches it, once. */
  async #launch(): Promise<void> {
    if (this.#qemu) return;
    const { facts, dir } = this.#o;
    const qemu = await launch({
      path: facts.path,
      argv: this.#argv,
      qmpPath: join(dir, 'qmp.sock'),
      ...(this.#hasGuest ? { consolePath: join(dir, 'console.sock') } : { qtestPath: join(dir, 'qtest.sock') }),
      cwd: dir,
      // A crash is what this is for: its core is read where it lies, in the private directory, and goes with it.
      core: true,
      recorder: this.recorder,
    });
    this.#qemu = qemu;
    // One that died before it dialled has told its exit.
    if (this.#hasGuest)
      qemu.console.then(
        (console) => recordGuest(console, this.recorder),
        () => {},
      );
    this.#process = new ProcessWatch(qemu.pid, this.recorder);
    if (this.variant.role === 'server') this.#watchSocket();
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS);
    qemu.qmp.then(
      (qmp) => {
        this.#monitor = qmp;
        this.#chardev = new ChardevWatch(qmp, this.recorder);
        this.#heartbeat = startHeartbeat({
          qmp,
          recorder: this.recorder,
          intervalMs: SAMPLE_MS,
          boundMs: SILENCE_MS,
        });
        this.#measureStalls(this.#heartbeat);
      },
      // It died before QMP was there: the exit is in the timeline.
      () => {},
    );
  }

  /** What a fault makes of QEMU's main loop is measured from its beginning. */
  #measureStalls(heartbeat: Heartbeat): void {
    this.recorder.listen(({ type }) => {
      // A monitor that is gone is told by the process's exit.
      if (type === 'peer.fault' && !this.#quitSent) heartbeat.beat().catch(() => {});
    });
  }

  /** Ends the variant: quit, exit, everything closed. @throws what is a bug of the tester, after everything is closed */
  async finish(): Promise<void> {
    const { signal } = this.#o;
    signal.removeEventListener('abort', this.#interrupt);
    this.#interrupted = new Promise(() => {});
    try {
      if (!signal.aborted) await this.#quit();
    } finally {
      // First, or it would redial a QEMU that is being killed.
      await this.peer.close();
      this.#second?.leave();
      await this.#qemu?.kill();
      clearInterval(this.#timer);
      this.#heartbeat?.stop();
      this.#process?.stop();
      this.#driver?.close();
      await this.#qemu?.dispose();
      this.#migration?.dispose();
      this.recorder.record({ type: 'run.end' });
    }
  }

  /** Looks a last time and has QEMU quit. One that does not is left to be killed. */
  async #quit(): Promise<void> {
    const qemu = this.#qemu;
    if (!qemu || this.#gone) return;
    // Nor can a QEMU be looked at that waits for its peer; one that was to quit while it waits got the quit from the schedule.
    if (!this.#quitSent && this.peer.session?.keepsWaiting) await this.peer.leave('close');
    // A schedule that did not run to its end may have left it at work.
    if (this.#busy) await this.#unlessGone(this.restDriver().catch(() => {}));
    this.#migration?.release();
    if (!this.#quitSent) await this.#unlessGone(this.sample());
    if (this.#gone || this.starting) return;
    if (this.#usualLimit !== undefined) this.descriptors('free');
    this.sendQuit();
    // A QEMU that waits for a silent peer sees the quit only once that is gone.
    if (this.peer.session?.keepsWaiting) await this.peer.leave('close');
    await this.#within(QUIT_DEADLINE_MS, qemu.exited);
  }

  get starting(): boolean {
    return this.recorder.latest('qmp.ready') === undefined;
  }

  async until(what: string, test: () => boolean): Promise<void> {
    const happened = await this.#when(what, test, (event) => this.#inTime(event));
    if (happened === LATE) throw new StepTimeout(what);
  }

  /** Waits, in the way given, until `test` holds; it is asked again after every event. @throws QemuGone, CutOff */
  async #when(
    what: string,
    test: () => boolean,
    wait: (happened: Promise<void>) => Promise<unknown>,
  ): Promise<unknown> {
    if (this.#gone) throw new QemuGone();
    if (test()) return undefined;
    if (this.peer.cutFired) throw new CutOff(what);
    let unlisten = () => {};
    const happened = new Promise<void>((resolve, reject) => {
      let asked = false;
      const ask = () => {
        asked = false;
        if (this.#gone) reject(new QemuGone());
        else if (test()) resolve();
        else if (this.peer.cutFired) reject(new CutOff(what));
      };
      // An event is recorded before it takes effect, so the question is asked after the callback that recorded it.
      unlisten = this.recorder.listen(() => {
        if (asked) return;
        asked = true;
        queueMicrotask(ask);
      });
    });
    try {
      return await wait(happened);
    } finally {
      unlisten();
    }
  }

  async pass(ms: Ms): Promise<void> {
    if (this.#gone) throw new QemuGone();
    let unlisten = () => {};
    const gone = new Promise<never>((_, reject) => {
      unlisten = this.recorder.listen(({ type }) => {
        if (type === 'qemu.exit') reject(new QemuGone());
      });
    });
    try {
      await this.#within(ms, gone);
    } finally {
      unlisten();
    }
  }

  async qmpReady(): Promise<void> {
    await this.until('QMP ready', () => this.recorder.latest('qmp.ready') !== undefined);
    await this.#bounded('QMP', this.#running().qmp);
  }

  async bringUp(): Promise<void> {
    await this.qmpReady();
    if (this.#hasGuest) return this.#booted();
    if (this.variant.driver !== 'none' && !this.#driverRuns) await this.startDriver();
  }

  handshakeDone(): boolean {
    const session = this.peer.session;
    if (!session?.owned) return false;
    for (let ring = 0; ring < 2 * this.variant.queuePairs; ring++) if (!session.rings.get(ring)?.call) return false;
    return true;
  }

  async #booted(): Promise<void> {
    const up = () => (this.recorder.latest('guest.ready')?.seq ?? -1) >= this.#resetSeq;
    const late = await this.#when('the guest', up, (event) => this.#within(BOOT_DEADLINE_MS, event));
    if (late === LATE) throw new StepTimeout('the guest’s boot');
  }

  ringsRunning(): boolean {
    if (this.#hasGuest) return this.#allRingsRun;
    if (!this.#driverRuns) return true;
    const session = this.peer.session;
    return this.recorder
      .latest('driver.ready')!
      .rings.every(({ index }) => index >= 2 * this.#pairs || (session?.rings.get(index)?.running ?? false));
  }

  /** Linux uses every pair of queues that it has a CPU for, and there are as many. */
  get #allRingsRun(): boolean {
    const { session } = this.peer;
    for (let ring = 0; ring < 2 * this.variant.queuePairs; ring++) if (!session?.rings.get(ring)?.running) return false;
    return true;
  }

  async readLink(): Promise<boolean | undefined> {
    if (this.#hasGuest) return this.recorder.latest('guest.carrier')?.up;
    return this.#driver && this.#bounded('link status', this.#driver.link());
  }

  async readConnected(): Promise<boolean> {
    if (!this.#chardev) throw new StepFailed('the chardev cannot be read before QMP is ready');
    return this.#bounded('chardev state', this.#chardev.read());
  }

  async sample(): Promise<void> {
    // An answer of the main loop means that what it was at is done.
    await this.#bounded('heartbeat', this.#heartbeat?.beat() ?? Promise.resolve());
    this.#look(true);
    if (this.#chardev) await this.#bounded('chardev', this.#chardev.read());
  }

  async traffic(burst: Burst): Promise<void> {
    if (!this.#hasGuest) return this.#burst(burst);
    const { packets, ...more } = burst;
    if (Object.values(more).some((one) => one !== undefined && one !== false && one !== 'arrived'))
      throw new StepFailed('a guest of its own pings, and that is all it does: say how often');
    const enough = this.#pings + packets;
    await this.until(`${packets} pings of the guest answered`, () => this.#pings >= enough);
  }

  async #burst({ packets, inFlight = false, only, until = 'arrived', within }: Burst): Promise<void> {
    const driver = this.#driver;
    if (!driver || !this.recorder.latest('driver.ready')) throw new StepFailed('traffic before the driver was started');
    const traffic = this.#traffic;
    const pairs = this.#pairs;
    const burst = this.#bursts++;
    this.recorder.record({
      type: 'traffic.begin',
      burst,
      packets,
      pairs,
      ...(only ? { only } : {}),
      ...(inFlight ? { inFlight: true as const } : {}),
    });
    if (inFlight) traffic.holdTx((packets * pairs) / 2);
    const expected: Expected[] = [];
    for (let pair = 0; pair < pairs; pair++) {
      if (only !== 'rx') expected.push(this.#ledger.take('tx', pair, packets));
      if (only === 'tx') continue;
      const rx = this.#ledger.take('rx', pair, packets);
      expected.push(rx);
      traffic.queueRx(pair, rx.first, packets);
    }
    this.peer.pumpRx();
    const missing = () =>
      expected
        .map((part) => ({ dir: part.dir, pair: part.pair, seqs: this.#ledger.missing(part) }))
        .filter(({ seqs }) => seqs.length > 0);
    const transmit = () => {
      const sent = expected.filter(({ dir }) => dir === 'tx').map((tx) => driver.transmit(tx.pair, tx.first, tx.count));
      return this.#bounded('transmit', Promise.all(sent));
    };
    if (inFlight) {
      await transmit();
      return;
    }
    try {
      await transmit();
      const sent = expected.filter(({ dir }) => dir === 'tx');
      const through = () =>
        until === 'arrived' ? missing().length === 0 : sent.every((part) => this.#ledger.unused(part).length === 0);
      const what = until === 'arrived' ? `${packets} packets each way` : `${packets} packets used`;
      if (within === undefined) await this.until(what, through);
      else await this.#when(what, through, (event) => this.#within(within, event));
    } finally {
      // What came back as used is read once more: an interrupt may have been suppressed.
      if (!this.#gone) await this.#unlessGone(driver.poll());
      const left = missing();
      const outcome = left.length === 0 ? 'flowed' : 'stalled';
      this.recorder.record({ type: 'traffic.end', burst, outcome, missing: left });
    }
  }

  async startDriver(choice?: StartChoice): Promise<void> {
    this.#demandQtest('driver');
    const { machine, queuePairs, memory } = this.variant;
    if (!this.#driver) {
      const bus = await this.#bounded('qtest', this.#running().qtest);
      this.#driver = new Driver({
        bus,
        recorder: this.recorder,
        machine: machine as 'q35' | 'pc' | 'microvm',
        pairs: queuePairs,
        personality: 'linux',
        memory,
      });
    }
    await this.#bounded('driver start', this.#driver.start(choice));
  }

  async resetDriver(): Promise<void> {
    if (!this.#driver) throw new StepFailed('reset before the driver was started');
    await this.#bounded('driver reset', this.#driver.reset());
  }

  async ejectDevice(): Promise<void> {
    if (!this.#driver) throw new StepFailed('eject before the driver was started');
    await this.#bounded('eject', this.#driver.eject());
  }

  async usePairs(pairs: number): Promise<void> {
    if (!this.#driver) throw new StepFailed('queue pairs before the driver was started');
    await this.#bounded('queue pairs', this.#driver.setPairs(pairs));
  }

  keepDriver(activity: Activity): void {
    const driver = this.#driver;
    if (!driver || !this.#driverRuns) throw new StepFailed(`${activity} before the driver was started`);
    if (this.#busy) throw new StepFailed('the driver is busy already');
    const pairs = this.#pairs;
    this.#busy = new BusyDriver({
      driver,
      recorder: this.recorder,
      pairs,
      ...(activity === 'sending' ? { number: (pair) => this.#ledger.take('tx', pair, 1).first } : {}),
      // QEMU's own dial ends in an idle callback, which any kick keeps waiting: that there is none on the way is its rule.
      underWay: () => this.variant.role === 'server' && this.peer.session !== undefined && !this.ringsRunning(),
      running: () => this.ringsRunning(),
    });
  }

  async hurryDriver(): Promise<void> {
    if (this.#busy) await this.#bounded('kicks', this.#busy.hurry());
  }

  async restDriver(): Promise<void> {
    const busy = this.#busy;
    if (!busy) throw new StepFailed('the driver rests already');
    this.#busy = undefined;
    await this.#bounded('the last kick', busy.rest());
  }

  async qmp(execute: string, args?: Json, answer: CommandAnswer = 'done'): Promise<Json | undefined> {
    // The guest goes with its machine: nothing of its driver touches the device any more.
    if (execute === 'system_reset') {
      this.#driver?.abandon();
      this.#resetSeq = this.recorder.events.length;
    }
    try {
      const value = await this.#execute(execute, args);
      if (answer === 'refused') throw new StepFailed(`${execute} was not refused`);
      return value;
    } catch (error) {
      if (!(error instanceof QmpError)) throw error;
      if (answer === 'done') throw new StepFailed(`${execute}: ${error.message}`);
      return undefined;
    }
  }

  async plug(what: Pluggable): Promise<void> {
    const command = plugCommand(what, this.#machine);
    await this.qmp(command.execute, command.arguments);
  }

  begin(what: string, work: Promise<unknown>): void {
    // Whoever finishes it gets the error.
    work.catch(() => {});
    this.#begun.push({ what, work });
  }

  async finishBegun(): Promise<void> {
    for (const { what, work } of this.#begun.splice(0)) await this.#bounded(what, work);
  }

  /** @throws QmpError when QEMU refuses, StepTimeout, QemuGone */
  async #execute(execute: string, args?: Json): Promise<Json> {
    // Without a turn in between once it is there: commands, and a quit after them, leave in the order of the schedule.
    const qmp = this.#monitor ?? (await this.#bounded('QMP', this.#running().qmp));
    return this.#bounded(`QMP ${execute}`, qmp.execute(execute, args));
  }

  async startMigration(choice: MigrationChoice): Promise<void> {
    this.#demandQtest('migrate');
    if (this.#migration && this.recorder.latest('migration.end')?.migration !== this.#migrations)
      throw new StepFailed('a migration is under way already');
    const bus = await this.#bounded('qtest', this.#running().qtest);
    this.#migration = await Migration.begin({
      number: ++this.#migrations,
      choice,
      recorder: this.recorder,
      peer: this.peer,
      dir: this.#o.dir,
      memory: this.variant.memory,
      qmp: (execute, args) => this.#execute(execute, args),
      fill: (...where) => this.#bounded('qtest', bus.fill(...where)),
    });
  }

  get migration(): Migration {
    if (!this.#migration) throw new StepFailed('there was no migration');
    return this.#migration;
  }

  async continueMigration(): Promise<void> {
    await this.qmp('migrate-continue', { state: 'pre-switchover' });
  }

  async resumeSource(): Promise<void> {
    if (this.recorder.latest('migration.end')?.status === 'completed') await this.qmp('cont');
  }

  async cancelMigration(): Promise<void> {
    const { migration } = this;
    await this.qmp('migrate_cancel');
    migration.release();
  }

  connectMonitor(): void {
    const { variant, recorder } = this;
    if (!variant.extras?.includes('monitor')) throw new StepFailed('there is no second monitor; add it to extras');
    if (this.#second?.connected) throw new StepFailed('the second monitor has a client already');
    this.#second = SecondMonitor.dial(join(this.#o.dir, 'monitor.sock'), recorder, ++this.#seconds);
  }

  get monitor(): SecondMonitor {
    if (!this.#second) throw new StepFailed('nobody is at the second monitor');
    return this.#second;
  }

  sendQuit(): void {
    if (this.#quitSent) return;
    this.#quitSent = true;
    // A QEMU that quits is asked nothing more: 5.2 aborts over a command that comes in meanwhile.
    this.#heartbeat?.stop();
    this.#running().quit();
  }

  descriptors(spare: number | 'free'): void {
    const { pid } = this.#running();
    const usual = this.#usualLimit;
    if (spare === 'free') {
      if (usual === undefined) throw new StepFailed('the descriptors are free already');
      limitDescriptors(pid, usual);
      this.#usualLimit = undefined;
      this.recorder.record({ type: 'qemu.descriptors', limit: usual });
      return;
    }
    const taken = new Set(listFds(pid));
    if (usual !== undefined || taken.size === 0)
      throw new StepFailed('the descriptors are limited already, or QEMU is gone');
    // The lowest free number is always the next; the first one beyond those that are spared is the limit.
    let limit = 0;
    for (let free = 0; taken.has(limit) || free < spare; limit++) if (!taken.has(limit)) free++;
    this.recorder.record({ type: 'qemu.descriptors', spare, limit });
    this.#usualLimit = limitDescriptors(pid, limit);
  }

  async beginPhase(cut?: Cut): Promise<void> {
    // What QEMU had said before, and may still lie in the socket, is not of the phase.
    const { session } = this.peer;
    if (session && !session.keepsWaiting)
      await this.#unlessGone(this.until('all messages read', () => session.unread === 0));
    this.#cut = cut;
    if (cut) this.peer.arm(cut);
    this.recorder.record({ type: 'phase.begin', ...(cut ? { cut: cutText(cut) } : {}) });
  }

  async endPhase(): Promise<void> {
    if (this.#cut) await this.#cutCame(cutText(this.#cut));
    else await this.#allSaid();
    this.recorder.record({ type: 'phase.end' });
    this.#cut = undefined;
    this.peer.disarm();
  }

  /** A QEMU that ends without having come to the cut is no less a schedule that did not happen. */
  async #cutCame(cut: string): Promise<void> {
    try {
      await this.until(`the cut ${cut}`, () => this.peer.cutFired);
    } catch (error) {
      if (!(error instanceof QemuGone)) throw error;
      await this.#readOut();
      if (!this.peer.cutFired) throw new StepFailed(`QEMU ended before the cut ${cut}`);
    }
  }

  /** The last messages of a QEMU that has ended may still lie in the socket: the peer reads them up to the socket's end. */
  async #readOut(): Promise<void> {
    let unlisten = () => {};
    const read = new Promise<void>((resolve) => {
      const ask = () => {
        if (!this.peer.session || this.peer.cutFired) resolve();
      };
      unlisten = this.recorder.listen(() => queueMicrotask(ask));
      ask();
    });
    try {
      await this.#inTime(read);
    } finally {
      unlisten();
    }
  }

  /** All that QEMU had to say in a phase is there: it answered after it or ended, and the peer has read everything. */
  async #allSaid(): Promise<void> {
    if (this.#quitSent) await this.#within(QUIT_DEADLINE_MS, this.#running().exited);
    else await this.sample();
    if (this.#gone) return this.#readOut();
    await this.#unlessGone(this.until('all messages read', () => (this.peer.session?.unread ?? 0) === 0));
  }

  async decoy(ms: Ms): Promise<void> {
    const path = this.#socketPath;
    const aside = `${path}.aside`;
    try {
      renameSync(path, aside);
    } catch (error) {
      throw new StepFailed(`decoy: QEMU's socket cannot be moved aside: ${error}`);
    }
    // Together with the renaming, so that no look falls between.
    const stand = (decoyed: boolean) => {
      if (this.#socket) this.#socket.decoyed = decoyed;
    };
    stand(true);
    this.recorder.record({ type: 'peer.listen', path, decoy: true });
    const listener = await listenUnix(path, (socket) => {
      this.recorder.record({ type: 'decoy.accept', pid: socket.peerPid });
      socket.close();
    });
    try {
      await this.pass(ms);
    } finally {
      await listener.close();
      rmSync(path, { force: true });
      if (existsSync(aside)) renameSync(aside, path);
      stand(false);
      this.recorder.record({ type: 'peer.unlisten', path, removed: true, decoy: true });
    }
  }

  /** QEMU did not take options that a case gives to see what it makes of them. Its words may come after its end. */
  async #optionsRefused(): Promise<boolean> {
    if (this.variant.chardev === undefined) return false;
    await this.#qemu?.settled;
    return optionsRefused(this.recorder.timeline()) !== undefined;
  }

  get #hasGuest(): boolean {
    return this.variant.driver === 'guest';
  }

  #demandQtest(what: string): void {
    if (this.#hasGuest) throw new StepFailed(`${what}: a guest of its own leaves no room for the tester’s driver`);
  }

  /** Whether the driver reached DRIVER_OK, and neither it nor a reset of the machine has reset the device since. */
  get #driverRuns(): boolean {
    const ready = this.recorder.latest('driver.ready');
    return (
      ready !== undefined &&
      (this.#driver?.running ?? false) &&
      ready.seq > (this.recorder.latest('driver.reset')?.seq ?? -1)
    );
  }

  /** Queue pairs that the driver uses now. */
  get #pairs(): number {
    const ready = this.recorder.latest('driver.ready')!;
    const changed = this.recorder.latest('driver.pairs');
    return changed && changed.seq > ready.seq ? changed.pairs : ready.pairs;
  }

  get #gone(): boolean {
    return this.recorder.latest('qemu.exit') !== undefined;
  }

  /** How QEMU ended, and what it said last. */
  async #lastWords(): Promise<string> {
    await this.#qemu?.settled;
    const { code, signal } = this.recorder.latest('qemu.exit') ?? { code: null, signal: null };
    const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
    const line = this.recorder.latest('qemu.stderr')?.line;
    return `QEMU ${how}${line === undefined ? '' : `; its last words: ${line}`}`;
  }

  #running(): QemuProcess {
    if (!this.#qemu) throw new StepFailed('QEMU was not started yet');
    return this.#qemu;
  }

  /** Sockets that sessions of ours explain are learnt at the latest when a session ends. */
  #watchSocket(): void {
    const socket = new SocketWatch(this.#socketPath, this.recorder);
    this.#socket = socket;
    this.recorder.listen(({ type }) => {
      if (type === 'session.close') socket.explain();
    });
  }

  #look(settled = false): void {
    if (this.#gone) return;
    this.#process?.sample(settled);
    this.#socket?.sample(this.peer.session === undefined);
    // A chardev that cannot be asked any more is told by the process's exit.
    if (!this.#quitSent) this.#chardev?.read().catch(() => {});
  }

  /** The promise, or StepTimeout at the deadline; QemuGone when it fails because QEMU ended. */
  async #bounded<T>(what: string, promise: Promise<T>): Promise<T> {
    try {
      const value = await this.#inTime(promise);
      if (value === LATE) throw new StepTimeout(what);
      return value;
    } catch (error) {
      if (error instanceof StepTimeout || !isConnectionEnd(error)) throw error;
      // The socket breaks before the exit is known.
      await this.#within(STEP_DEADLINE_MS, this.#running().exited);
      throw this.#gone ? new QemuGone() : error;
    }
  }

  async #unlessGone(promise: Promise<unknown>): Promise<void> {
    try {
      await this.#bounded('last look', promise);
    } catch (error) {
      if (!(error instanceof QemuGone || error instanceof StepTimeout)) throw error;
    }
  }

  /** The promise's value, or LATE after a step's deadline; what the machine took meanwhile is given on top, within reason. */
  async #inTime<T>(promise: Promise<T>): Promise<T | typeof LATE> {
    const from = this.recorder.now();
    for (let rest = STEP_DEADLINE_MS; ; ) {
      const value = await this.#within(rest, promise);
      if (value !== LATE) return value;
      this.#look();
      const now = this.recorder.now();
      const timeline = this.recorder.timeline();
      rest = STEP_DEADLINE_MS - spent(timeline, from, now);
      const watched = now - from - timeline.unwatched(from, now);
      if (rest < WORTH_WAITING_MS || watched > LONGEST_STEP * STEP_DEADLINE_MS) return LATE;
    }
  }

  /** The promise's value, or LATE after `ms`; rejects when the run is interrupted. */
  async #within<T>(ms: Ms, promise: Promise<T>): Promise<T | typeof LATE> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<typeof LATE>((resolve) => {
      timer = setTimeout(() => resolve(LATE), ms);
    });
    try {
      return await Promise.race([promise, late, this.#interrupted]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** @throws TypeError when it was not given */
function imageOf({ guest, variant }: StageOptions): GuestImage {
  if (!guest) throw new TypeError(`${variant.id} needs a guest`);
  return guest;
}

/** The options of the chardev that requirements are about, as far as the binary lists them. */
const judged = (facts: QemuFacts): string[] => judgedOptions.filter((name) => facts.chardevOptions.has(name));

/** The deadline came first. */
const LATE = Symbol('late');

/** A QMP or qtest socket broke: QEMU is going or gone. */
const isConnectionEnd = (error: unknown): boolean =>
  error instanceof QemuError && (error.code === 'ERR_QEMU_EXITED' || error.code === 'ERR_QEMU_SOCKET');
