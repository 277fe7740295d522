/** Those who wait for the same thing. */
export class Waiters {
  #waiting: { resolve(): void; reject(error: Error): void }[] = [];
  #failed: Error | undefined;

  /** Resolves at the next wake(). @throws the error of fail(), also when that came before */
  wait(): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Lets all go on. */
  wake(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** Lets all fail, and all who come later; only the first error counts. */
  fail(error: Error): void {
    this.#failed ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failed);
  }
}
