import type { StartChoice } from '../driver/index.js';
import type { Cut, Peer, Traffic } from '../peer/index.js';
import type { Pluggable, SecondMonitor } from '../qemu/index.js';
import type { Json, Ms, Recorder } from '../timeline/index.js';
import type { Variant } from './types.js';

/** Packets to send, per queue pair and direction; see the verb `traffic`. */
export interface Burst {
  packets: number;
  inFlight?: boolean;
  only?: 'rx' | 'tx';
  /** Goes on after so long, arrived or not. */
  within?: Ms;
  /** What is waited for: all have arrived, or what the driver sent has come back as used, whoever used it. */
  until?: 'arrived' | 'used';
}

/** What may come back for a QMP command: either, where versions differ or a race decides. */
export const commandAnswers = ['done', 'refused', 'either'] as const;
export type CommandAnswer = (typeof commandAnswers)[number];

/** What a driver does of its own accord, in the background of the schedule. */
export type Activity = 'kicking' | 'sending';

/** Where a migration stands still until it is told to go on; see the verb `migrate`. */
export interface MigrationChoice {
  hold?: 'copied';
  pause?: 'switch-over';
}

/** What a verb can do: the face of a running variant. The runner implements it. */
export interface Stage {
  readonly variant: Variant;
  readonly recorder: Recorder;
  readonly peer: Peer<Traffic>;
  /** QEMU's start-up is not over: it may not be listening yet. */
  readonly starting: boolean;

  /**
   * Waits until `test` holds; it is asked again after every event.
   * @throws StepTimeout, QemuGone, CutOff when the peer has left at the phase's cut
   */
  until(what: string, test: () => boolean): Promise<void>;
  /** Lets scheduled time pass: an absence. @throws QemuGone as soon as QEMU is gone */
  pass(ms: Ms): Promise<void>;

  /** Waits for QMP: QEMU's start-up is over. @throws StepTimeout, QemuGone */
  qmpReady(): Promise<void>;
  /** Waits for QMP; then, where the variant has a driver, starts it unless it runs, or waits for the guest that has it. @throws StepTimeout, QemuGone */
  bringUp(): Promise<void>;
  /** Whether the current session's init handshake is through: owner set and every ring's call fd received. */
  handshakeDone(): boolean;
  /** Whether every ring of the driver's pairs is started and enabled. True without a driver. */
  ringsRunning(): boolean;
  /** Reads the guest-visible link bit now; undefined without a driver. */
  readLink(): Promise<boolean | undefined>;
  /** Whether the chardev says it is connected, read now. */
  readConnected(): Promise<boolean>;
  /** Reads now everything that is otherwise sampled at intervals: heartbeat, chardev, descriptors, socket path. */
  sample(): Promise<void>;

  /** Sends packets both ways, or waits for as many pings of a guest of its own; see the verb `traffic`. */
  traffic(burst: Burst): Promise<void>;
  /** Starts the guest driver, anew where it runs. */
  startDriver(choice?: StartChoice): Promise<void>;
  /** Resets the device of the guest driver. */
  resetDriver(): Promise<void>;
  /** Has the guest driver let go of its device, which is to be removed. */
  ejectDevice(): Promise<void>;
  /** Has the guest driver use so many of its queue pairs. */
  usePairs(pairs: number): Promise<void>;
  /** From now on the driver keeps at it, until restDriver(). @throws StepFailed when it does already, or does not run */
  keepDriver(activity: Activity): void;
  /**
   * A driver that is kept at it hurries from now on until its rings run, so that QEMU has kicks to handle at every moment in
   * between. Resolves when it does; at once where the driver rests.
   */
  hurryDriver(): Promise<void>;
  /** Ends what keepDriver() began; resolves when the last of it is done. @throws what went wrong with it */
  restDriver(): Promise<void>;
  /**
   * Executes a QMP command, recorded; `done` is its answer unless said.
   * @returns what it returns; undefined when it was refused @throws StepFailed when the answer is another one
   */
  qmp(execute: string, args?: Json, answer?: CommandAnswer): Promise<Json | undefined>;
  /** Adds to QEMU again what was removed, by QMP. @throws StepFailed when it is refused */
  plug(what: Pluggable): Promise<void>;
  /** Begins something, and goes on; finishBegun() waits for it. */
  begin(what: string, work: Promise<unknown>): void;
  /** Waits for the end of all that was begun. @throws what it threw */
  finishBegun(): Promise<void>;
  /** A management client dials QEMU's second monitor. @throws StepFailed when there is none, or has one */
  connectMonitor(): void;
  /** That client. @throws StepFailed when there was none */
  readonly monitor: Pick<SecondMonitor, 'ask' | 'leave'>;
  /** Sends QMP quit without waiting for the end. */
  sendQuit(): void;
  /** Has QEMU migrate; resolves when it has accepted or refused to. @throws StepFailed while another migration runs */
  startMigration(choice: MigrationChoice): Promise<void>;
  /** The destination of the last migration. @throws StepFailed when there was none */
  readonly migration: {
    /** It reads on. */
    release(): void;
    /** It goes away. */
    close(): void;
  };
  /** A migration that QEMU paused before the switch-over goes on. @throws StepFailed with QEMU's error */
  continueMigration(): Promise<void>;
  /** QEMU is to cancel its migration. */
  cancelMigration(): Promise<void>;
  /** The source of a migration that completed runs on; nothing after another. */
  resumeSource(): Promise<void>;
  /** Lets QEMU open so many more file descriptors, or as many as ever again. @throws StepFailed, OsError */
  descriptors(spare: number | 'free'): void;
  /** Begins a phase, once all that QEMU said before was read, in which the peer leaves at a message of QEMU; without a cut it stays. */
  beginPhase(cut?: Cut): Promise<void>;
  /** Ends it when all of its messages came, or the peer has left. @throws StepTimeout when the cut did not come */
  endPhase(): Promise<void>;
  /** Puts a listener of ours in place of QEMU's socket for a while, then puts QEMU's back. */
  decoy(ms: Ms): Promise<void>;
}

/** A step's event did not come in time. Whether that is QEMU's fault is for the requirements to say. */
export class StepTimeout extends Error {
  constructor(readonly what: string) {
    super(`${what}: not within the deadline`);
    this.name = 'StepTimeout';
  }
}

/** QEMU's process ended during a step. */
export class QemuGone extends Error {
  constructor() {
    super('QEMU is gone');
    this.name = 'QemuGone';
  }
}

/** The peer left at the cut of the phase: what the step waited for cannot come any more. */
export class CutOff extends Error {
  constructor(readonly what: string) {
    super(`${what}: the peer has left at the cut`);
    this.name = 'CutOff';
  }
}

/** A step could not be done as the case asks: the schedule did not happen. */
export class StepFailed extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StepFailed';
  }
}
