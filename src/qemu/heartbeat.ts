import type { Json, Ms, Recording } from '../timeline/index.js';
import { QemuError } from './qemu-error.js';
import type { QmpClient } from './qmp.js';

/** How a heartbeat beats. */
export interface HeartbeatOptions {
  qmp: Pick<QmpClient, 'execute'>;
  recorder: Recording;
  /** Pause between an answer and the next question. */
  intervalMs: Ms;
  /** An answer that takes longer is recorded as qmp.silent. */
  boundMs: Ms;
}

/**
 * Asks QEMU `query-status` again and again, each time after the last answer, and records the latency (qmp.heartbeat), or
 * once that there was none within the bound (qmp.silent). Ends by itself when the monitor's connection is lost.
 */
export class Heartbeat {
  readonly #o: HeartbeatOptions;
  #stopped = false;
  #next: NodeJS.Timeout | undefined;
  #pending: { since: Ms; answered: Promise<void>; silent: boolean } | undefined;

  /** Beats at once. */
  constructor(options: HeartbeatOptions) {
    this.#o = options;
    this.#run();
  }

  /**
   * Beats now instead of at its time; resolves with the answer's arrival. A question that is still open is not repeated.
   * @throws QemuError ERR_QEMU_SOCKET when the monitor's connection is lost
   */
  beat(): Promise<void> {
    if (this.#pending) return this.#pending.answered;
    clearTimeout(this.#next);
    const since = this.#o.recorder.now();
    const answered = this.#ask(since);
    this.#pending = { since, answered, silent: false };
    return answered;
  }

  /** Ends it. A question that is open for longer than the bound is recorded as silent if it was not yet. */
  stop(): void {
    if (this.#stopped) return;
    const pending = this.#pending;
    if (pending && this.#o.recorder.now() - pending.since >= this.#o.boundMs) this.#noteSilence(pending.since);
    this.#stopped = true;
    clearTimeout(this.#next);
  }

  async #ask(sent: Ms): Promise<void> {
    const { qmp, recorder, intervalMs, boundMs } = this.#o;
    // When it was us who were late, the answer may lie unread in the socket: it is read before setImmediate's turn.
    const bound = setTimeout(() => setImmediate(() => this.#noteSilence(sent)), boundMs);
    try {
      const status = runState(await qmp.execute('query-status', undefined, { silent: true }));
      if (this.#stopped) return;
      recorder.record({ type: 'qmp.heartbeat', sent, latency: recorder.now() - sent, status });
      this.#next = setTimeout(() => this.#run(), intervalMs);
    } finally {
      this.#pending = undefined;
      clearTimeout(bound);
    }
  }

  #run(): void {
    this.beat().catch((error: unknown) => {
      this.#stopped = true;
      if (!(error instanceof QemuError && error.code === 'ERR_QEMU_SOCKET'))
        this.#o.recorder.record({ type: 'tester.trouble', what: `the heartbeat ended: ${error}` });
    });
  }

  #noteSilence(since: Ms): void {
    const pending = this.#pending;
    if (this.#stopped || pending?.since !== since || pending.silent) return;
    pending.silent = true;
    this.#o.recorder.record({ type: 'qmp.silent', since });
  }
}

/** Starts a heartbeat. */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  return new Heartbeat(options);
}

function runState(answer: Json): string {
  return String((answer as { status?: Json }).status);
}
