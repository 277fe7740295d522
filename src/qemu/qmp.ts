import type { Socket } from 'node:net';
import type { Json, Recording } from '../timeline/index.js';
import { LineClient } from './line-client.js';
import { QemuError } from './qemu-error.js';

/** QMP refused a command. */
export class QmpError extends QemuError {
  /** @param errorClass QMP's own, e.g. `CommandNotFound`, `DeviceNotFound`, `GenericError` */
  constructor(
    readonly errorClass: string,
    readonly desc: string,
  ) {
    super('ERR_QMP', `QMP: ${desc}`, 'the command or its arguments do not fit this QEMU');
    this.name = 'QmpError';
  }
}

/**
 * Client of QEMU's monitor (docs/interop/qmp-spec). Commands are answered in order; events are recorded as they come.
 * QEMU listens to its monitor only when it is not busy: a vhost-user netdev keeps it deaf until the handshake is done.
 */
export class QmpClient extends LineClient<Json> {
  readonly #recorder: Recording;
  readonly #greeting: Promise<void>;
  #greeted = () => {};
  #ungreeted = (_error: QemuError) => {};
  readonly #execute: Execute;

  private constructor(socket: Socket, recorder: Recording) {
    super(socket);
    this.#recorder = recorder;
    this.#execute = recordedCommands(recorder, (line) => this.send(line));
    this.#greeting = new Promise((resolve, reject) => {
      this.#greeted = resolve;
      this.#ungreeted = reject;
    });
  }

  /**
   * Takes over a connected socket; resolves once QEMU has greeted and accepts commands (recorded as qmp.ready).
   * @throws QemuError ERR_QEMU_SOCKET, ERR_QEMU_PROTOCOL
   */
  static async open(socket: Socket, recorder: Recording): Promise<QmpClient> {
    const client = new QmpClient(socket, recorder);
    await client.#greeting;
    await client.execute('qmp_capabilities', undefined, { silent: true });
    recorder.record({ type: 'qmp.ready' });
    return client;
  }

  /**
   * Carries out a command and gives its `return` value. Recorded as qmp.command and qmp.reply.
   * @param silent not recorded: for what is asked again and again, whose asker records what is new
   * @throws QmpError when QEMU refuses; QemuError ERR_QEMU_SOCKET
   */
  execute(command: string, args?: Json, options?: { silent?: boolean }): Promise<Json> {
    return this.#execute(command, args, options);
  }

  protected override onLine(line: string): void {
    const message = parseQmp(line);
    if ('return' in message) this.answer(message.return ?? null);
    else if ('event' in message)
      this.#recorder.record({ type: 'qmp.event', event: String(message.event), data: message.data ?? {} });
    else if ('error' in message) {
      this.refuse(refusal(message.error));
    } else if ('QMP' in message) this.#greeted();
    else throw notQmp(line);
  }

  protected override onLost(error: QemuError): void {
    this.#ungreeted(error);
  }
}

/** See QmpClient. */
export type Execute = (command: string, args?: Json, options?: { silent?: boolean }) => Promise<Json>;

/**
 * Records commands and their replies.
 * @param send sends one line and resolves with what QEMU returned, or throws a QmpError
 */
export function recordedCommands(recorder: Recording, send: (line: string) => Promise<Json>): Execute {
  let commands = 0;
  return async (command, args, { silent = false } = {}) => {
    const line = JSON.stringify({ execute: command, arguments: args });
    if (silent) return send(line);
    const id = commands++;
    const sent = recorder.now();
    recorder.record({ type: 'qmp.command', id, execute: command, ...(args === undefined ? {} : { arguments: args }) });
    const reply = () => ({ type: 'qmp.reply', id, execute: command, latency: recorder.now() - sent }) as const;
    try {
      const value = await send(line);
      recorder.record({ ...reply(), value });
      return value;
    } catch (error) {
      // A connection that was lost is no reply.
      if (error instanceof QmpError) recorder.record({ ...reply(), error: error.desc, errorClass: error.errorClass });
      throw error;
    }
  };
}

/** QMP's error as one of ours. */
export function refusal(error: Json | undefined): QmpError {
  const { class: errorClass, desc } = (error ?? {}) as { class?: Json; desc?: Json };
  return new QmpError(String(errorClass), String(desc));
}

/** One message of QMP. @throws QemuError ERR_QEMU_PROTOCOL */
export function parseQmp(line: string): { [key: string]: Json } {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    throw notQmp(line);
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) throw notQmp(line);
  return message as { [key: string]: Json };
}

function notQmp(line: string): QemuError {
  return new QemuError('ERR_QEMU_PROTOCOL', `not QMP: ${line.slice(0, 80)}`, 'is this a QMP socket?');
}
