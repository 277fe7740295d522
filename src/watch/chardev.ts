import { CHARDEV_ID } from '../qemu/index.js';
import type { Json, Recorder } from '../timeline/index.js';

/** What the watch needs of a QMP client. */
export interface Qmp {
  execute(command: string, args?: Json, options?: { silent?: boolean }): Promise<Json>;
}

/**
 * Reads whether the chardev is connected. `qom-get connected` (chardev/char-socket.c, char_socket_get_connected; true in
 * TCP_CHARDEV_STATE_CONNECTED only) is exact in every version that has it; else the filename's `disconnected:` prefix.
 */
export class ChardevWatch {
  #means: 'qom' | 'filename' = 'qom';
  #pending: Promise<boolean> | undefined;

  constructor(
    private readonly qmp: Qmp,
    private readonly recorder: Recorder,
  ) {}

  /**
   * Reads now; records the first state and each change. A question that is still open is not asked again: a QEMU that hangs
   * is not to be buried in them. Rejects when QMP ends.
   */
  read(): Promise<boolean> {
    this.#pending ??= this.#read().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #read(): Promise<boolean> {
    const connected = await this.#connected();
    const last = this.recorder.latest('chardev.state');
    if (last?.connected !== connected) this.recorder.record({ type: 'chardev.state', connected, means: this.#means });
    return connected;
  }

  async #connected(): Promise<boolean> {
    if (this.#means === 'qom') {
      try {
        const value = await this.qmp.execute(
          'qom-get',
          { path: `/chardevs/${CHARDEV_ID}`, property: 'connected' },
          { silent: true },
        );
        return value === true;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        this.#means = 'filename';
      }
    }
    const list = (await this.qmp.execute('query-chardev', undefined, { silent: true })) as {
      label: string;
      filename: string;
    }[];
    const chardev = list.find(({ label }) => label === CHARDEV_ID);
    return chardev !== undefined && !chardev.filename.startsWith('disconnected:');
  }
}

/** QEMU answered, with an error; anything else means that there is no answer. */
const isRefusal = (error: unknown): boolean => error instanceof Error && error.name === 'QmpError';
