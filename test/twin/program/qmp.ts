import type { LineSocket } from './line-socket.js';

export type Arguments = Readonly<Record<string, unknown>>;

/** A command's answer: what it returns, or an error; `after` runs when the answer is on its way. */
export type Answer = { return: unknown; after?: () => void } | { error: { class: string; desc: string } };

export type Command = (args: Arguments) => Answer | Promise<Answer>;

export const VERSION = { qemu: { micro: 0, minor: 0, major: 10 }, package: 'twin' };

/** `return` with nothing. */
export const NOTHING: Answer = { return: {} };

export const failure = (desc: string, errorClass = 'GenericError'): Answer => ({ error: { class: errorClass, desc } });

/** The monitor (docs/interop/qmp-spec.txt): a greeting, then one answer a command, and events in between. */
export class Qmp {
  readonly #socket: LineSocket;
  readonly #commands: Readonly<Record<string, Command>>;

  constructor(socket: LineSocket, commands: Readonly<Record<string, Command>>) {
    this.#socket = socket;
    this.#commands = commands;
  }

  greet(): void {
    this.#socket.write(JSON.stringify({ QMP: { version: VERSION, capabilities: ['oob'] } }));
  }

  event(name: string, data: object = {}): void {
    const now = Date.now();
    const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 };
    this.#socket.write(JSON.stringify({ timestamp, event: name, data }));
  }

  /** Carries out one line and answers it. */
  async execute(line: string): Promise<void> {
    if (line.trim() === '') return;
    const {
      execute,
      id,
      arguments: args = {},
    } = JSON.parse(line) as { execute: string; id?: unknown; arguments?: Arguments };
    const command = this.#commands[execute];
    const answer = command
      ? await command(args)
      : failure(`The command ${execute} has not been found`, 'CommandNotFound');
    const { after, ...body } = 'return' in answer ? answer : { ...answer, after: undefined };
    this.#socket.write(JSON.stringify(id === undefined ? body : { ...body, id }), after);
  }
}
