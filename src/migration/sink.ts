import { type FdSocket, type Listener, listenUnix, OsError } from '../os/index.js';
import type { Recorder } from '../timeline/index.js';
import { MigrationError } from './error.js';
import { ReceivedPages } from './received.js';
import { MigrationStream } from './stream.js';

/** One read. */
const CHUNK = 65_536;

export interface SinkOptions {
  /** The socket to listen on; removed by nobody. */
  path: string;
  /** Number of the migration, as its events name it. */
  migration: number;
  recorder: Recorder;
  /** The block of memory that is guest RAM, whose offsets are guest-physical addresses. */
  block: string;
  /** Reads no further than to the first page of the block that has this offset or a higher one, until `release()`. */
  holdAt?: number;
}

/** The destination of a migration, as far as a source can tell: it takes the stream and keeps the memory. */
export class MigrationSink {
  readonly received = new ReceivedPages();
  readonly #o: SinkOptions;
  readonly #stream: MigrationStream;
  #listener: Listener | undefined;
  #socket: FdSocket | undefined;
  #holds: boolean;
  #held = false;
  #bytes = 0;
  #ended = () => {};
  /** Resolves when the source has closed the stream. */
  readonly ended = new Promise<void>((resolve) => {
    this.#ended = resolve;
  });

  private constructor(options: SinkOptions) {
    this.#o = options;
    this.#holds = options.holdAt !== undefined;
    this.#stream = new MigrationStream({
      page: (block, offset, content) => {
        if (block !== options.block) return;
        this.received.add(offset, content);
        if (this.#holds && offset >= options.holdAt!) this.#held = true;
      },
    });
  }

  /** Listens. @throws OsError */
  static async listen(options: SinkOptions): Promise<MigrationSink> {
    const sink = new MigrationSink(options);
    sink.#listener = await listenUnix(options.path, (socket) => sink.#accept(socket), { replace: true });
    return sink;
  }

  /** A stream came and has not ended. */
  get open(): boolean {
    return this.#socket !== undefined && !this.#socket.closed;
  }

  /** Whether all of the stream came. */
  get complete(): boolean {
    return this.#stream.complete;
  }

  /** The states of the devices, as far as they came. */
  get devices(): Buffer {
    return this.#stream.devices;
  }

  /** Reads on, and to the end. */
  release(): void {
    this.#holds = false;
    if (!this.#held) return;
    this.#held = false;
    this.#o.recorder.record({ type: 'migration.release', migration: this.#o.migration });
    if (this.open) this.#socket!.onReadable(() => this.#readable());
  }

  /** Takes no more: a source that is still sending finds its connection closed. */
  close(): void {
    void this.#listener?.close();
    if (this.open) this.#end('destination');
  }

  #accept(socket: FdSocket): void {
    if (this.#socket) {
      socket.close();
      return;
    }
    this.#socket = socket;
    socket.onError((error) => this.#fail(error));
    socket.onReadable(() => this.#readable());
  }

  #readable(): void {
    const socket = this.#socket!;
    const chunk = socket.receive(CHUNK);
    if (chunk === 'again') return;
    if (chunk === 'eof') {
      this.#end('source');
      return;
    }
    this.#bytes += chunk.bytes.length;
    this.#stream.push(chunk.bytes);
    if (!this.#held) return;
    socket.pauseReading();
    this.#o.recorder.record({ type: 'migration.hold', migration: this.#o.migration });
  }

  /** A source that died resets the connection; what cannot be read is a form of the stream that the tester does not know. */
  #fail(error: unknown): void {
    if (error instanceof MigrationError)
      this.#o.recorder.record({ type: 'tester.trouble', what: `migration stream: ${error.message}`, hint: error.hint });
    else if (!(error instanceof OsError)) throw error;
    if (this.open) this.#end(error instanceof OsError ? 'source' : 'destination');
  }

  #end(by: 'source' | 'destination'): void {
    this.#socket!.close();
    this.#o.recorder.record({
      type: 'migration.stream',
      migration: this.#o.migration,
      by,
      bytes: this.#bytes,
      pages: this.received.total,
      repeated: this.received.repeated,
      complete: this.complete,
    });
    this.#ended();
  }
}
