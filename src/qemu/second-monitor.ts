import { createConnection } from 'node:net';
import type { Json, Recorder } from '../timeline/index.js';
import { LineClient } from './line-client.js';
import { QemuError } from './qemu-error.js';
import { parseQmp } from './qmp.js';

/** The beginning of a command. */
const HALF = '{"execute": "query-ch';

/** A management client of a monitor at which QEMU listens, beside the tester's own. Recorded as monitor.* events. */
export class SecondMonitor extends LineClient<Json> {
  readonly #recorder: Recorder;
  readonly #client: number;
  #commands = 0;
  #left: 'whole' | 'half' | undefined;

  private constructor(path: string, recorder: Recorder, client: number) {
    super(createConnection(path));
    this.#recorder = recorder;
    this.#client = client;
  }

  /** Dials, and negotiates as soon as it is heard: `ask('qmp_capabilities')` is its first command. */
  static dial(path: string, recorder: Recorder, client: number): SecondMonitor {
    recorder.record({ type: 'monitor.open', client });
    return new SecondMonitor(path, recorder, client);
  }

  /**
   * Sends a command; resolves when it is answered, if with an error, or when the client has left.
   * @throws QemuError when QEMU ends the connection
   */
  async ask(execute: string): Promise<void> {
    const command = { client: this.#client, id: this.#commands++ };
    this.#recorder.record({ type: 'monitor.command', ...command, execute });
    try {
      await this.send(JSON.stringify({ execute }));
      this.#recorder.record({ type: 'monitor.reply', ...command });
    } catch (error) {
      if (error instanceof QemuError && error.code === 'ERR_QMP')
        this.#recorder.record({ type: 'monitor.reply', ...command, error: error.message });
      else if (this.#left === undefined) throw error;
    }
  }

  /**
   * Leaves, whether it has its answers or not: what it asked is sent all the same. `half`: in the middle of a command's line.
   * @returns whether it was there still
   */
  leave(how: 'whole' | 'half' = 'whole'): boolean {
    const { connected } = this;
    this.#left ??= how;
    if (connected) this.breakOff(how === 'half' ? HALF : '');
    return connected;
  }

  protected override onLine(line: string): void {
    const message = parseQmp(line);
    if ('return' in message) this.answer(message.return ?? null);
    else if ('error' in message) this.refuse(new QemuError('ERR_QMP', JSON.stringify(message.error), 'see its words'));
    else if ('event' in message)
      this.#recorder.record({
        type: 'monitor.event',
        client: this.#client,
        event: String(message.event),
        data: message.data ?? {},
      });
  }

  protected override onLost(): void {
    this.#recorder.record({
      type: 'monitor.close',
      client: this.#client,
      by: this.#left === undefined ? 'front-end' : 'client',
      ...(this.#left === 'half' ? { half: true as const } : {}),
    });
  }
}
