import { CHARDEV_ID } from '../qemu/index.js';
import type { Json, Recording } from '../timeline/index.js';

/** What the watch needs of a QMP client. */
export interface Qmp {
  execute(command: string, args?: Json, options?: { silent?: boolean }): Promise<Json>;
}

type Means = 'qom' | 'filename';

/**
 * Reads whether the chardev says that it is connected, both ways. `qom-get connected` (chardev/char-socket.c,
 * char_socket_get_connected; true in TCP_CHARDEV_STATE_CONNECTED only) is exact in every version that has it; the filename
 * of query-chardev, with its `disconnected:` prefix, is what libvirt and operators look at.
 */
export class ChardevWatch {
  #hasProperty = true;
  readonly #last = new Map<Means, string>();
  #pending: Promise<boolean> | undefined;

  constructor(
    private readonly qmp: Qmp,
    private readonly recorder: Recording,
    /** As QMP names it. */
    private readonly id: string = CHARDEV_ID,
  ) {}

  /**
   * Reads now; records the first state and each change, of either means. A question that is still open is not asked again:
   * a QEMU that hangs is not to be buried in them. Rejects when QMP ends.
   * @returns what the property says; without one, the filename
   */
  read(): Promise<boolean> {
    this.#pending ??= this.#read().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #read(): Promise<boolean> {
    const [property, filename] = await Promise.all([this.#property(), this.#filename()]);
    const connected = filename !== undefined && !filename.startsWith('disconnected:');
    if (property !== undefined) this.#note('qom', property);
    this.#note('filename', connected, filename);
    return property ?? connected;
  }

  #note(means: Means, connected: boolean, text?: string): void {
    const word = `${connected} ${text}`;
    if (this.#last.get(means) === word) return;
    this.#last.set(means, word);
    this.recorder.record({ type: 'chardev.state', connected, means, ...(text === undefined ? {} : { text }) });
  }

  async #property(): Promise<boolean | undefined> {
    if (!this.#hasProperty) return undefined;
    try {
      const path = `/chardevs/${this.id}`;
      return (await this.qmp.execute('qom-get', { path, property: 'connected' }, { silent: true })) === true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // Without the chardev itself the question does not say whether there is such a property.
      if (!isAbsence(error)) this.#hasProperty = false;
      return undefined;
    }
  }

  async #filename(): Promise<string | undefined> {
    const list = (await this.qmp.execute('query-chardev', undefined, { silent: true })) as {
      label: string;
      filename: string;
    }[];
    return list.find(({ label }) => label === this.id)?.filename;
  }
}

/** QEMU has no object by the name: the chardev was removed. */
const isAbsence = (error: object): boolean => 'errorClass' in error && error.errorClass === 'DeviceNotFound';

/** QEMU answered, with an error; anything else means that there is no answer. */
const isRefusal = (error: unknown): error is Error => error instanceof Error && error.name === 'QmpError';
