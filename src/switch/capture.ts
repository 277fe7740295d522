import { createWriteStream, openSync, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { type Direction, interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from './pcapng.js';

const MIB = 2 ** 20;
const LIMIT = 256 * MIB;
const PENDING_LIMIT = 8 * MIB;
/** Notes that wait for a frame. Any more, and they get a frame of their own. */
const NOTES_LIMIT = 16;
const NO_FRAME = Buffer.alloc(0);

export interface CaptureOptions {
  /** The file, which is overwritten. */
  file: string;
  /** Name of the interface: that of the switch's port. */
  port: string;
  /** Who writes it. */
  application: string;
  /** When 0 ms was. */
  startedAt: Date;
  /** Bytes of the file at most; 256 MiB by default. What does not fit is left out, and a last note says so. */
  limitBytes?: number;
  /** Bytes that wait for the disk at most; 8 MiB by default. Frames beyond that are left out, and the next one says so. */
  pendingBytes?: number;
}

/** Frames that are `written`, and those left out as the file was full, too much was `pending`, or the disk has `failed`. */
export interface CaptureCounters {
  written: number;
  leftOut: { limit: number; pending: number; failed: number };
}

/**
 * The frames of one port in a pcapng file, which Wireshark reads, with notes as packet comments. Blocks are written as they
 * come, so that a file that a kill has cut off can be read up to its last whole one. Times are in ms since `startedAt`.
 */
export class Capture {
  readonly counters: CaptureCounters = { written: 0, leftOut: { limit: 0, pending: 0, failed: 0 } };
  readonly #origin: number;
  readonly #limit: number;
  readonly #pendingLimit: number;
  readonly #stream: WriteStream;
  readonly #end: Promise<void>;
  /** Bytes of the file, with those that still wait. */
  #size = 0;
  /** Notes for the next frame. */
  #notes: string[] = [];
  /** Frames and notes that are left out since the last frame that was written, for want of a faster disk. */
  #gap = 0;
  #lastMs = 0;
  /** Bytes of what is written after the last frame. */
  readonly #reserved: number;
  #stopped: 'limit' | 'failed' | undefined;
  #isClosed = false;

  /** @throws the file system's error when the file cannot be opened */
  constructor({ file, port, application, startedAt, limitBytes, pendingBytes }: CaptureOptions) {
    this.#origin = startedAt.getTime();
    this.#limit = limitBytes ?? LIMIT;
    this.#pendingLimit = pendingBytes ?? PENDING_LIMIT;
    this.#stream = createWriteStream(file, { fd: openSync(file, 'w') });
    this.#stream.on('error', () => {
      this.#stopped = 'failed';
    });
    this.#end = finished(this.#stream);
    // close() tells; until then a failing disk is nobody's rejection.
    this.#end.catch(() => undefined);
    this.#write(sectionBlock(application));
    this.#write(interfaceBlock(port));
    this.#reserved = this.#lastNote().length + this.#statistics().length;
  }

  /** A frame that passes the port. */
  frame(direction: Direction, frame: Buffer, atMs: number): void {
    if (this.#isClosed) return;
    this.#lastMs = atMs;
    const reason = this.#put(frame, direction);
    if (!reason) this.counters.written++;
    else this.counters.leftOut[reason]++;
    if (reason === 'pending') this.#gap++;
  }

  /** Something to know about the moment. It becomes a comment on the next frame, or has an empty one when none comes. */
  note(text: string, atMs: number): void {
    if (this.#isClosed) return;
    this.#lastMs = atMs;
    this.#notes.push(`${(atMs / 1000).toFixed(3)} s: ${text}`);
    if (this.#notes.length >= NOTES_LIMIT) this.#putNotes();
  }

  /** Writes what is left, and how many frames there were. @throws the file system's error when the file is not whole */
  close(): Promise<void> {
    if (this.#isClosed) return this.#end;
    if (this.#notes.length > 0) this.#putNotes();
    if (this.#stopped !== 'failed') this.#write(this.#statistics());
    this.#isClosed = true;
    this.#stream.end();
    return this.#end;
  }

  #putNotes(): void {
    if (this.#put(NO_FRAME) === 'pending') this.#gap += this.#notes.length;
    this.#notes = [];
  }

  /** Writes a frame with the notes that wait for one. @returns why it is left out, and the notes go on waiting */
  #put(frame: Buffer, direction?: Direction): keyof CaptureCounters['leftOut'] | undefined {
    if (this.#stopped) return this.#stopped;
    const gap = this.#gap > 0 ? [`${this.#gap} left out before this one: the disk was too slow`] : [];
    const block = this.#packet(frame, [...this.#notes, ...gap], direction);
    if (this.#size + block.length + this.#reserved > this.#limit) {
      this.#write(this.#lastNote());
      this.#stopped = 'limit';
      return 'limit';
    }
    if (this.#stream.writableLength + block.length > this.#pendingLimit) return 'pending';
    this.#write(block);
    this.#notes = [];
    this.#gap = 0;
    return undefined;
  }

  #packet = (frame: Buffer, comments: readonly string[], direction?: Direction): Buffer =>
    packetBlock(frame, { us: this.#us(this.#lastMs), comments, ...(direction && { direction }) });

  #lastNote = (): Buffer =>
    this.#packet(NO_FRAME, [`the capture ends here: it has reached its limit of ${this.#limit} bytes`]);

  #statistics(): Buffer {
    const { written, leftOut } = this.counters;
    const dropped = leftOut.limit + leftOut.pending + leftOut.failed;
    return statisticsBlock({
      start: this.#us(0),
      end: this.#us(this.#lastMs),
      received: written + dropped,
      dropped,
    });
  }

  #us = (ms: number): number => Math.round(1000 * (this.#origin + ms));

  #write(block: Buffer): void {
    this.#size += block.length;
    this.#stream.write(block);
  }
}
