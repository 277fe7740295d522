import type { Paint } from '../report/index.js';
import { ControlClient, type ControlFile } from './client.js';
import { commandOf } from './parameters.js';
import { renderScreen } from './screen.js';
import type { DrillState } from './view.js';

/** The terminal that a screen is drawn on. */
export interface Tty {
  write(text: string): void;
  readonly columns: number;
  readonly rows: number;
  /** Calls the listener with each key, as text; ends when the returned function is called. */
  onKey(listener: (key: string) => void): () => void;
}

const KEYS: Readonly<Record<string, { line: string; confirm: boolean }>> = {
  r: { line: 'restart away=2s', confirm: true },
  d: { line: 'down', confirm: true },
  u: { line: 'up', confirm: false },
  s: { line: 'stall', confirm: false },
  e: { line: 'resume', confirm: false },
  q: { line: 'end', confirm: true },
};
const LOG_LINES = 500;
const ENTER = /^[\r\n]$/;
const ERASE = /^[\u007f\b]$/;
const CLEAR = '\u001b[2J\u001b[H';
const OPEN = '\u001b[?1049h\u001b[?25l';
const CLOSE = '\u001b[?25h\u001b[?1049l';

/** A drill on one screen of a terminal. It is a client of the control protocol like any other. */
export class Terminal {
  readonly #tty: Tty;
  readonly #paint: Paint;
  readonly #log: string[] = [];
  #client: ControlClient | undefined;
  #state: DrillState | undefined;
  #port = 'p0';
  #said = '';
  /** The verb that is being typed. */
  #typed: string | undefined;
  /** The verb that waits for a yes. */
  #asked: string | undefined;
  #unlisten = () => {};

  constructor(tty: Tty, paint: Paint) {
    this.#tty = tty;
    this.#paint = paint;
  }

  /** Draws until the connection ends. @throws DrillError ERR_CONTROL */
  async run(control: Pick<ControlFile, 'address' | 'token'>): Promise<void> {
    this.#client = await ControlClient.connect(control, (message) => this.#take(message));
    this.#tty.write(OPEN);
    this.#unlisten = this.#tty.onKey((key) => this.#key(key));
    try {
      await this.#client.closed;
    } finally {
      this.#unlisten();
      this.#tty.write(CLOSE);
    }
  }

  #take({ state, events }: { state?: unknown; events?: unknown }): void {
    if (state !== undefined) this.#state = state as DrillState;
    for (const { port, t, text, quiet } of (events ?? []) as { port: string; t: number; text: string; quiet?: true }[])
      if (!quiet) this.#log.push(`${port} +${(t / 1000).toFixed(3)} s  ${text}`);
    this.#log.splice(0, this.#log.length - LOG_LINES);
    this.#draw();
  }

  #key(key: string): void {
    if (key === '\u0003') this.#ask('end', true);
    else if (this.#asked !== undefined) this.#confirmed(key);
    else if (this.#typed !== undefined) this.#type(key);
    else if (key === ':' || key === 'n') this.#typed = key === 'n' ? 'note text=' : '';
    else if (/^[1-9]$/.test(key)) this.#port = Object.keys(this.#state?.ports ?? {})[Number(key) - 1] ?? this.#port;
    else if (KEYS[key]) this.#ask(KEYS[key].line, KEYS[key].confirm);
    this.#draw();
  }

  #confirmed(key: string): void {
    const line = this.#asked!;
    this.#asked = undefined;
    if (key === 'y') void this.#send(line);
    else this.#said = `${line}: not sent`;
  }

  #type(key: string): void {
    const line = this.#typed!;
    if (ENTER.test(key)) {
      this.#typed = undefined;
      if (line.trim() !== '') void this.#send(line);
    } else if (key === '\u001b') this.#typed = undefined;
    else if (ERASE.test(key)) this.#typed = line.slice(0, -1);
    else this.#typed = line + key;
  }

  #ask(line: string, confirm: boolean): void {
    if (confirm) this.#asked = line;
    else void this.#send(line);
  }

  async #send(line: string): Promise<void> {
    const { verb, port: named, params } = commandOf(line);
    const port = named ?? (verb === 'end' ? undefined : this.#port);
    this.#said = `${line} …`;
    this.#draw();
    try {
      await this.#client!.ask(verb, params as never, port);
      this.#said = `${line}: done`;
    } catch (error) {
      const { message, hint } = error as { message: string; hint?: string };
      this.#said = `${message}${hint ? ` (${hint})` : ''}`;
    }
    this.#draw();
  }

  #draw(): void {
    const { columns, rows } = this.#tty;
    const said =
      this.#asked !== undefined
        ? `${this.#asked}? y = yes`
        : this.#typed !== undefined
          ? `:${this.#typed}`
          : this.#said;
    const lines = renderScreen(
      { state: this.#state, port: this.#port, log: this.#log, said, columns, rows },
      this.#paint,
    );
    this.#tty.write(CLEAR + lines.join('\r\n'));
  }
}
