import { type Heartbeat, qemuProcess, startHeartbeat, startTime } from '../qemu/index.js';
import type { Ms, Recorder } from '../timeline/index.js';
import { ChardevWatch, ProcessWatch } from '../watch/index.js';
import type { FanOut } from './fan-out.js';
import { type Monitor, onlyLooking } from './monitor.js';

/** How often /proc and the chardevs are looked at. */
export const LOOK_MS: Ms = 200;
/** R2's bound. */
const SILENCE_MS: Ms = 1000;

/** Orderly ends by the reason of QMP's event SHUTDOWN (qapi/run-state.json, ShutdownCause). */
const ORDERLY = /^(host-qmp-quit|host-qmp-system-reset|host-signal|host-ui|guest-shutdown|guest-reset)$/;

/** A chardev to be watched. */
export interface WatchedChardev {
  id: string;
  recorder: Recorder;
}

/**
 * Watches one QEMU that is not the tester's child, or that is: its monitor, its chardevs, and what /proc tells of it. What it
 * finds is recorded; it sends nothing that changes the virtual machine.
 */
export class Observer {
  readonly #all: FanOut;
  #monitor: Monitor | undefined;
  #heartbeat: Heartbeat | undefined;
  #chardevs: ChardevWatch[] = [];
  #process: ProcessWatch | undefined;
  #pid: number | undefined;
  #started: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Why QEMU said that it ends. */
  #reason = '';
  readonly #ours: boolean;

  /** @param ours the process is the tester's child, whose end is recorded elsewhere */
  constructor(all: FanOut, { ours = false }: { ours?: boolean } = {}) {
    this.#all = all;
    this.#ours = ours;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    all.listen((event) => {
      if (event.type === 'qmp.event' && event.event === 'SHUTDOWN')
        this.#reason = String((event.data as { reason?: string } | undefined)?.reason);
      // It was kept from its end (-no-shutdown), and goes on: what ends it later is another matter.
      if (event.type === 'qmp.event' && (event.event === 'RESUME' || event.event === 'RESET')) this.#reason = '';
    });
  }

  /** The process, once it is known. */
  get pid(): number | undefined {
    return this.#pid;
  }

  get monitor(): Monitor | undefined {
    return this.#monitor;
  }

  /** Whether QEMU has ended. */
  get gone(): boolean {
    return this.#all.latest('qemu.exit') !== undefined;
  }

  /** From now on this process is QEMU. A number that is no QEMU's, or not ours to look at, is left alone. @returns whether it is taken */
  watchProcess(pid: number): boolean {
    if (this.#pid !== undefined || this.gone) return false;
    const started = startTime(pid);
    if (started === undefined || (!this.#ours && !qemuProcess(pid))) return false;
    this.#pid = pid;
    this.#started = started;
    if (!this.#ours) this.#all.record({ type: 'qemu.spawn', pid });
    this.#process = new ProcessWatch(pid, this.#all);
    return true;
  }

  /** From now on, and until it is lost, QEMU is asked by this monitor. */
  watchMonitor(monitor: Monitor, chardevs: readonly WatchedChardev[], intervalMs = LOOK_MS): void {
    this.#monitor = monitor;
    const looking = onlyLooking(monitor);
    this.#chardevs = chardevs.map(({ id, recorder }) => new ChardevWatch(looking, recorder, id));
    this.#heartbeat = startHeartbeat({ qmp: looking, recorder: this.#all, intervalMs, boundMs: SILENCE_MS });
    void monitor.lost.then(() => {
      this.#monitor = undefined;
      this.#heartbeat?.stop();
      // A QEMU that ends closes its monitor a moment before.
      this.look();
    });
  }

  /** Looks now, at everything but the heartbeat. */
  look(settled = false): void {
    if (this.gone) return;
    const pid = this.#pid;
    if (pid !== undefined && !this.#ours && startTime(pid) !== this.#started) {
      // Why it ended may lie unread in the monitor's socket: it is read before setImmediate's turn.
      setImmediate(() => this.#ended());
      return;
    }
    this.#process?.sample(settled);
    if (this.#monitor) for (const chardev of this.#chardevs) chardev.read().catch(() => {});
  }

  /** Resolves when QEMU has answered, and everything was looked at. @throws QemuError when the monitor is lost */
  async sample(): Promise<void> {
    await this.#heartbeat?.beat();
    this.look(true);
    await Promise.all(this.#chardevs.map((chardev) => chardev.read()));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#heartbeat?.stop();
    this.#process?.stop();
    this.#monitor?.close();
  }

  /** How it ended only its parent is told; whether it was asked to, its monitor may have said before. */
  #ended(): void {
    if (this.gone) return;
    this.#heartbeat?.stop();
    this.#monitor?.close();
    this.#all.record({
      type: 'qemu.exit',
      code: null,
      signal: null,
      ...(ORDERLY.test(this.#reason) ? { asked: 'quit' as const } : {}),
    });
    this.#all.record({
      type: 'qemu.post-mortem',
      noBacktrace: 'QEMU is no child of the tester: coredumpctl, or the core pattern of its host, has the core',
    });
  }
}
