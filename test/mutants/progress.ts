/** Where progress is told: a terminal is redrawn, anything else gets a line now and then. */
export interface Screen {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** Told between the first and the last step where there is no terminal. */
const TELLINGS = 5;

/** What the tool is doing, one stage after the other. */
export class Progress {
  #stage = '';
  #told = 0;
  #drawn = false;

  constructor(private readonly screen: Screen) {}

  /** @param text such as `building QEMU` */
  stage(text: string): void {
    this.end();
    this.#stage = text;
    this.#told = 0;
    this.screen.write(`${text}\n`);
  }

  /** How far the stage is. */
  step(done: number, total: number): void {
    if (this.screen.isTTY) {
      this.screen.write(`\r\u001b[K${this.#stage} [${done}/${total}]`);
      this.#drawn = true;
      return;
    }
    const fifth = Math.floor((TELLINGS * done) / total);
    if (fifth <= this.#told) return;
    this.#told = fifth;
    this.screen.write(`${this.#stage} [${done}/${total}]\n`);
  }

  /** Leaves what was drawn, so that other text begins on a line of its own. */
  end(): void {
    if (this.#drawn) this.screen.write('\n');
    this.#drawn = false;
  }
}
