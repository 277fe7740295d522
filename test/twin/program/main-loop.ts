/**
 * QEMU's main loop in small: tasks run one after another, and a task that waits for the back-end keeps all others waiting,
 * the monitor's commands and the guest's register accesses among them.
 */
export class MainLoop {
  #tail: Promise<void> = Promise.resolve();

  /** Queues a task. @returns a promise of its end; a task that throws is a bug of the twin and rejects it. */
  run(task: () => void | Promise<void>): Promise<void> {
    const done = this.#tail.then(task);
    this.#tail = done;
    return done;
  }
}
