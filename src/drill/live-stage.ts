import { QemuGone, type Stage, StepFailed, StepTimeout, type Variant } from '../cases/index.js';
import type { Cut, FrameTraffic, Peer } from '../peer/index.js';
import { type QemuProcess, QmpError } from '../qemu/index.js';
import type { Json, Ms, Recorder } from '../timeline/index.js';
import type { Observer } from './observer.js';

/** How long a step waits for its event. A real guest may be slow, and a client's retry interval long. */
const STEP_MS: Ms = 60_000;

/** What of a running port a stage needs. */
export interface LiveOptions {
  variant: Variant;
  recorder: Recorder;
  peer: Peer<FrameTraffic>;
  observer: Observer;
  /** The QEMU, where it is the tester's own. */
  qemu?: QemuProcess;
  /** It boots a guest that tells when it is up. */
  boots?: boolean;
  /** Rings that the guest had before the last loss. */
  wantedRings(): readonly number[];
}

const unable = (what: string) => (): never => {
  throw new StepFailed(`${what}: a drill leaves the guest to itself`);
};

/**
 * A live virtual machine as the verbs of cases see it. The guest is its own master: what would need the tester's driver, or a
 * machine made for the case, fails with that reason.
 */
export class LiveStage implements Stage {
  readonly variant: Variant;
  readonly recorder: Recorder;
  readonly peer: Peer<FrameTraffic>;
  readonly #o: LiveOptions;
  #stop: (reason: Error) => void = () => {};
  #stopped: Promise<never> = new Promise(() => {});
  readonly #begun: Promise<unknown>[] = [];

  constructor(options: LiveOptions) {
    this.#o = options;
    this.variant = options.variant;
    this.recorder = options.recorder;
    this.peer = options.peer;
    this.rearm();
  }

  /** What waits gives up, with StepFailed. */
  stop(why: string): void {
    this.#stop(new StepFailed(why));
  }

  /** Ends stop(). */
  rearm(): void {
    this.#stopped = new Promise((_, reject) => {
      this.#stop = reject;
    });
    this.#stopped.catch(() => {});
  }

  /** Waits for it until stop(). @throws StepFailed */
  async orStopped(work: Promise<void>): Promise<void> {
    await Promise.race([work, this.#stopped]);
  }

  /** Of QEMU's own start only the tester's child tells; an operator's QEMU is dialled as DPDK dials. */
  get starting(): boolean {
    return this.#o.qemu !== undefined && this.recorder.latest('qmp.ready') === undefined;
  }

  async until(what: string, test: () => boolean): Promise<void> {
    if (this.#gone) throw new QemuGone();
    if (test()) return;
    let unlisten = () => {};
    let timer: NodeJS.Timeout | undefined;
    const happened = new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new StepTimeout(what)), STEP_MS);
      // An event is recorded before it takes effect.
      const ask = () => {
        if (this.#gone) reject(new QemuGone());
        else if (test()) resolve();
      };
      unlisten = this.recorder.listen(() => queueMicrotask(ask));
    });
    try {
      await Promise.race([happened, this.#stopped]);
    } finally {
      clearTimeout(timer);
      unlisten();
    }
  }

  async pass(ms: Ms): Promise<void> {
    if (this.#gone) throw new QemuGone();
    let timer: NodeJS.Timeout | undefined;
    let unlisten = () => {};
    const passed = new Promise<void>((resolve, reject) => {
      timer = setTimeout(resolve, ms);
      unlisten = this.recorder.listen(({ type }) => {
        if (type === 'qemu.exit') reject(new QemuGone());
      });
    });
    try {
      await Promise.race([passed, this.#stopped]);
    } finally {
      clearTimeout(timer);
      unlisten();
    }
  }

  async qmpReady(): Promise<void> {
    if (this.#o.observer.monitor || this.#o.qemu)
      await this.until('QMP ready', () => this.recorder.latest('qmp.ready') !== undefined);
  }

  async bringUp(): Promise<void> {
    await this.qmpReady();
    if (this.#o.boots) await this.until('the guest', () => this.recorder.latest('guest.ready') !== undefined);
  }

  handshakeDone(): boolean {
    const { session } = this.peer;
    if (!session?.owned) return false;
    for (let ring = 0; ring < 2 * this.variant.queuePairs; ring++) if (!session.rings.get(ring)?.call) return false;
    return true;
  }

  ringsRunning(): boolean {
    const { session } = this.peer;
    return this.#o.wantedRings().every((ring) => session?.rings.get(ring)?.running ?? false);
  }

  async readLink(): Promise<boolean | undefined> {
    return undefined;
  }

  async readConnected(): Promise<boolean> {
    await this.sample();
    const said = this.recorder.latest('chardev.state');
    if (!said) throw new StepFailed('without a monitor nobody knows what the chardev says of itself');
    return said.connected;
  }

  sample(): Promise<void> {
    return this.#o.observer.sample();
  }

  /** Of a guest that pings: until its next ping is answered. */
  async traffic(): Promise<void> {
    const from = this.recorder.now();
    const pinged = () =>
      Math.max(this.recorder.latest('guest.echo')?.t ?? -1, this.recorder.latest('guest.ping')?.t ?? -1);
    if (pinged() < 0) throw new StepFailed('the guest does not ping: there is no traffic to wait for');
    await this.until('a ping of the guest', () => pinged() > from);
  }

  async qmp(execute: string, args?: Json, answer: 'done' | 'refused' | 'either' = 'done'): Promise<Json | undefined> {
    const { monitor } = this.#o.observer;
    if (!monitor) throw new StepFailed(`${execute} needs a monitor: --qmp or --virsh`);
    try {
      const value = await monitor.execute(execute, args);
      if (answer === 'refused') throw new StepFailed(`${execute} was not refused`);
      return value;
    } catch (error) {
      if (error instanceof QmpError) {
        if (answer === 'done') throw new StepFailed(`${execute}: ${error.message}`);
        return undefined;
      }
      throw error;
    }
  }

  begin(_what: string, work: Promise<unknown>): void {
    work.catch(() => {});
    this.#begun.push(work);
  }

  async finishBegun(): Promise<void> {
    for (const work of this.#begun.splice(0)) await Promise.race([work, this.#stopped]);
  }

  async beginPhase(cut?: Cut): Promise<void> {
    if (cut) this.peer.arm(cut);
    this.recorder.record({ type: 'phase.begin' });
  }

  async endPhase(): Promise<void> {
    this.recorder.record({ type: 'phase.end' });
    this.peer.disarm();
  }

  // What a driver of the guest would do goes with the tester's own only.
  async hurryDriver(): Promise<void> {}
  startDriver = unable('driver');
  resetDriver = unable('driver');
  ejectDevice = unable('driver');
  usePairs = unable('driver');
  keepDriver = unable('driver');
  restDriver = unable('driver');
  plug = unable('plug');
  connectMonitor = unable('monitor');
  sendQuit = unable('quit');
  startMigration = unable('migrate');
  continueMigration = unable('migrate');
  cancelMigration = unable('migrate');
  resumeSource = unable('migrate');
  descriptors = unable('descriptors');
  decoy = unable('decoy');

  get monitor(): never {
    return unable('monitor')();
  }

  get migration(): never {
    return unable('migrate')();
  }

  get #gone(): boolean {
    return this.recorder.latest('qemu.exit') !== undefined;
  }
}
