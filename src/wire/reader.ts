import { WireError } from './error.js';
import { decodeHeader, HEADER_SIZE, type Header, MAX_PAYLOAD } from './header.js';

/** A whole message, its payload not yet decoded, with the fds that came with any of its bytes. */
export interface RawMessage {
  request: number;
  flags: number;
  payload: Buffer;
  fds: number[];
}

/**
 * Cuts a byte stream into messages, however it arrives. Header first, then payload, never past the end of a message:
 * the kernel joins data that came without fds to data that follows with fds, so one big recvmsg would report the fds of
 * a later message with an earlier one. Reading at most `want` bytes makes every fd belong to the message being read.
 *
 * Fds belong to the reader from `push` on, also when it throws, until a message hands them out; whoever drops a reader
 * closes `pending.fds`.
 */
export class StreamReader {
  readonly #maxPayload: number;
  /** Bytes of the part being read (header or payload), and how many are there. */
  #part = Buffer.alloc(HEADER_SIZE);
  #filled = 0;
  /** Set while the payload is read. */
  #header: Header | undefined;
  #fds: number[] = [];
  #failure: WireError | undefined;

  /** `maxPayload` in bytes; a header that announces more is an error. */
  constructor({ maxPayload = MAX_PAYLOAD }: { maxPayload?: number } = {}) {
    this.#maxPayload = maxPayload;
  }

  /** Bytes the next read may ask for: the rest of the header or of the payload. 0 only after an error. */
  get want(): number {
    return this.#failure ? 0 : this.#part.length - this.#filled;
  }

  /** What has arrived of a message that is not whole: bytes, and fds that nobody else will close. */
  get pending(): { bytes: number; fds: number[] } {
    return { bytes: (this.#header ? HEADER_SIZE : 0) + this.#filled, fds: [...this.#fds] };
  }

  /**
   * Takes the result of one read: at most `want` bytes, and the fds that came with them.
   * @returns the message that became whole, if one did
   * @throws WireError ERR_WIRE_OVERRUN, ERR_WIRE_VERSION, ERR_WIRE_OVERSIZE; the stream has no step then, and every
   * later push throws the same error
   */
  push(chunk: Buffer, fds: readonly number[]): RawMessage | undefined {
    this.#fds.push(...fds);
    if (this.#failure) throw this.#failure;
    try {
      return this.#take(chunk);
    } catch (error) {
      if (error instanceof WireError) this.#failure = error;
      throw error;
    }
  }

  #take(chunk: Buffer): RawMessage | undefined {
    if (chunk.length > this.want)
      throw new WireError('ERR_WIRE_OVERRUN', `${chunk.length} bytes read, wanted ${this.want}`, 'read at most `want`');
    this.#filled += chunk.copy(this.#part, this.#filled);
    if (this.#filled < this.#part.length) return undefined;
    if (!this.#header) {
      this.#header = this.#accept(decodeHeader(this.#part));
      if (this.#header.size > 0) {
        this.#expect(this.#header.size);
        return undefined;
      }
    }
    return this.#finish(this.#header);
  }

  #accept(header: Header): Header {
    if (header.size > this.#maxPayload)
      throw new WireError(
        'ERR_WIRE_OVERSIZE',
        `request ${header.request} announces ${header.size} bytes, at most ${this.#maxPayload} are read`,
        'this is no vhost-user socket, or the stream lost its step',
      );
    return header;
  }

  #finish({ request, flags, size }: Header): RawMessage {
    const message = { request, flags, payload: size > 0 ? this.#part : Buffer.alloc(0), fds: this.#fds };
    this.#header = undefined;
    this.#fds = [];
    this.#expect(HEADER_SIZE);
    return message;
  }

  #expect(size: number): void {
    this.#part = Buffer.alloc(size);
    this.#filled = 0;
  }
}
