import { join } from 'node:path';
import { type MigrationChoice, QemuGone, StepFailed, StepTimeout } from '../cases/index.js';
import { MigrationSink, savedRings } from '../migration/index.js';
import { type Peer, type Traffic, WrittenPages } from '../peer/index.js';
import { QemuError, QmpError } from '../qemu/index.js';
import type { EventOf, Hex, Json, Recorder } from '../timeline/index.js';
import { RING_IDX } from '../virtio/index.js';

/**
 * Memory at the end of guest RAM that is filled for a migration that is to be held: pages of zeros hardly take room in a
 * stream, and a socket holds some 200 KiB of it, beside what QEMU keeps. Rings and buffers end far before.
 */
const FILLED = 2 << 20;
const FILLING = 0x5a;

/** The block of guest RAM: the id of its memory backend, see commandLine(). */
const RAM_BLOCK = 'mem';

/** No limit: what is held is held by the destination. Bytes a second. */
const BANDWIDTH = 2 ** 34;

/** More pages than a person reads of. */
const SHOWN = 16;

const TERMINAL = ['completed', 'failed', 'cancelled'] as const;
type Terminal = (typeof TERMINAL)[number];
const isTerminal = (status: string): status is Terminal => (TERMINAL as readonly string[]).includes(status);

/** A QEMU that ends or does not answer, and a run that is interrupted, are told of by other events. */
function unlessGone(error: unknown): void {
  const known = [QemuGone, StepFailed, StepTimeout, QemuError];
  if (!known.some((kind) => error instanceof kind)) throw error;
}

export interface MigrationOptions {
  /** From 1. */
  number: number;
  choice: MigrationChoice;
  recorder: Recorder;
  peer: Peer<Traffic>;
  /** The variant's private directory. */
  dir: string;
  /** Guest RAM in bytes. */
  memory: number;
  /** Executes a QMP command. @throws QmpError */
  qmp(execute: string, args?: Json): Promise<Json>;
  /** Sets guest memory to a byte. */
  fill(addr: bigint, length: number, byte: number): Promise<void>;
}

/** One migration of QEMU to a destination of the tester's. */
export class Migration {
  readonly #o: MigrationOptions;
  readonly #sink: MigrationSink;
  readonly #written: WrittenPages;
  #unlisten = () => {};
  #over = false;

  private constructor(options: MigrationOptions, sink: MigrationSink) {
    this.#o = options;
    this.#sink = sink;
    this.#written = new WrittenPages((addr) => sink.received.times(Number(addr)));
  }

  /** Has QEMU migrate; resolves when it has accepted or refused to. @throws QmpError, OsError */
  static async begin(options: MigrationOptions): Promise<Migration> {
    const { number: migration, choice, recorder, dir, memory, qmp, fill } = options;
    const filled = memory - FILLED;
    if (choice.hold) await fill(BigInt(filled), FILLED, FILLING);
    const path = join(dir, `migration-${migration}.sock`);
    const sink = await MigrationSink.listen({
      path,
      migration,
      recorder,
      block: RAM_BLOCK,
      ...(choice.hold ? { holdAt: filled } : {}),
    });
    const one = new Migration(options, sink);
    try {
      await qmp('migrate-set-capabilities', {
        capabilities: [
          { capability: 'events', state: true },
          { capability: 'pause-before-switchover', state: choice.pause !== undefined },
        ],
      });
      await qmp('migrate-set-parameters', { 'max-bandwidth': BANDWIDTH });
      await one.#begin(path);
      return one;
    } catch (error) {
      // Nobody else knows of it: a listener that is left would keep the tester from ending.
      one.dispose();
      throw error;
    }
  }

  async #begin(path: string): Promise<void> {
    const { number: migration, choice, recorder, peer, qmp } = this.#o;
    this.#unlisten = recorder.listen((event) => {
      if (event.type === 'qmp.event' && event.event === 'MIGRATION') this.#tell(event);
    });
    peer.noteWrites(this.#written);
    recorder.record({
      type: 'migration.begin',
      migration,
      ...(choice.hold ? { hold: choice.hold } : {}),
      ...(choice.pause ? { pause: true } : {}),
    });
    try {
      await qmp('migrate', { uri: `unix:${path}` });
    } catch (error) {
      if (!(error instanceof QmpError)) throw error;
      this.#end('refused', error.desc);
    }
  }

  /** The destination reads on. */
  release(): void {
    this.#sink.release();
  }

  /** The destination goes away, or is not needed any more. */
  close(): void {
    this.#sink.close();
  }

  /** Ends what watches it; for the end of the variant. */
  dispose(): void {
    this.#unlisten();
    this.close();
  }

  #tell({ data }: EventOf<'qmp.event'>): void {
    const status = (data as { status?: string }).status ?? '';
    const { recorder, number: migration } = this.#o;
    // After all have heard of the event itself.
    queueMicrotask(() => {
      if (this.#over) return;
      recorder.record({ type: 'migration.status', migration, status });
      if (isTerminal(status)) this.#finish(status).catch(unlessGone);
    });
  }

  /** QEMU closes the stream when it has cleaned up after a migration. */
  async #finish(status: Terminal): Promise<void> {
    const { recorder, number: migration, qmp } = this.#o;
    if (status === 'completed' || this.#sink.open) await this.#sink.ended;
    const answer = status === 'failed' ? ((await qmp('query-migrate')) as { 'error-desc'?: string }) : {};
    if (this.#over) return;
    if (status === 'completed') {
      const { pages, again, stale } = this.#sink.received.compare(this.#written);
      recorder.record({
        type: 'migration.written',
        migration,
        pages,
        again,
        stale: stale.slice(0, SHOWN).map((addr): Hex => `0x${addr.toString(16)}`),
      });
      this.#tellRings();
    }
    this.#end(status, answer['error-desc']);
  }

  /** Where the stream says that the rings of the driver are, if it runs and they are in there. */
  #tellRings(): void {
    const { recorder, number: migration } = this.#o;
    const { received, devices } = this.#sink;
    const ready = recorder.latest('driver.ready');
    if (!ready || (recorder.latest('driver.reset')?.seq ?? -1) > ready.seq) return;
    const saved = savedRings(
      devices,
      ready.rings.map(({ index, size, desc }) => ({ index, size, desc: BigInt(desc) })),
    );
    if (!saved) return;
    recorder.record({
      type: 'migration.rings',
      migration,
      rings: ready.rings.map(({ index, used: at }) => {
        const used = ready.layout === 'packed' ? undefined : received.word(Number(at) + RING_IDX);
        return { index, next: saved.get(index)!, ...(used === undefined ? {} : { used }) };
      }),
    });
  }

  #end(status: EventOf<'migration.end'>['status'], reason?: string): void {
    const { recorder, number: migration, peer } = this.#o;
    this.#over = true;
    this.#unlisten();
    peer.noteWrites(undefined);
    this.close();
    recorder.record({ type: 'migration.end', migration, status, ...(reason === undefined ? {} : { reason }) });
  }
}
