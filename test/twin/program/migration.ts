import { connect, type Socket } from 'node:net';
import type { Behaviour } from './behaviour.js';
import type { FrontEnd } from './front-end.js';
import { head, PAGE, page, type SavedRing, section, tail } from './migration-stream.js';
import type { NetDevice } from './net-device.js';
import type { Ram } from './ram.js';

/** Pages in one section. */
const PAGES = 256;

export interface MigrationOptions {
  path: string;
  pause: boolean;
  ram: Ram;
  frontEnd: FrontEnd;
  device: NetDevice;
  behaviour: Behaviour;
  /** Runs a task of the main loop to its end. */
  run(task: () => Promise<void>): Promise<void>;
  /** Told each new state. */
  tell(status: string): void;
  /** Has the virtual machine run, or stop for a migration. */
  setRunning(running: boolean): Promise<void>;
  running(): boolean;
}

/** The stream ended before its time: it was cancelled, or the destination is gone. */
class Broken extends Error {}

/** A migration as QEMU does it, without a thread: memory once while the guest runs, what changed after it has stopped. */
export class Migration {
  status = 'setup';
  error: string | undefined;
  readonly #o: MigrationOptions;
  #socket: Socket | undefined;
  #cancelled = false;
  #goOn = () => {};
  #named = false;

  constructor(options: MigrationOptions) {
    this.#o = options;
  }

  get over(): boolean {
    return ['completed', 'failed', 'cancelled'].includes(this.status);
  }

  cancel(): void {
    if (this.over) return;
    this.#cancelled = true;
    this.#tell('cancelling');
    this.#socket?.destroy();
    this.#goOn();
  }

  /** Goes on from the pause before the switch-over. */
  continue(): void {
    this.#goOn();
  }

  async start(): Promise<void> {
    const { run, setRunning, running, frontEnd, device, behaviour, ram } = this.#o;
    const ran = running();
    this.#tell('setup');
    try {
      await this.#migrate();
      this.#socket!.end();
      this.#tell('completed');
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      await run(async () => {
        this.#socket?.destroy();
        await setRunning(ran && behaviour.resumesAfterFailure);
        if (behaviour.stopsLogging) await frontEnd.stopLog(device);
      });
      if (!this.#cancelled) this.error = `Unable to write to socket: ${error.message}`;
      this.#tell(this.#cancelled ? 'cancelled' : 'failed');
    } finally {
      // Of a machine that does not run nothing is logged.
      if (!running()) await run(() => frontEnd.stopLog(device));
      ram.dirty = undefined;
    }
  }

  async #migrate(): Promise<void> {
    const { run, ram, frontEnd, device, behaviour, pause, setRunning } = this.#o;
    await this.#connect();
    await run(async () => {
      ram.dirty = new Set();
      await frontEnd.startLog(device);
    });
    this.#tell('active');
    await this.#send(head(ram.size));
    const count = Number(ram.size) / PAGE;
    for (let first = 0; first < count; first += PAGES)
      await this.#send(section(this.#pages(Array.from({ length: PAGES }, (_, i) => first + i))));
    if (!behaviour.endsMigration) await new Promise<never>(() => {});
    await run(() => setRunning(false));
    if (pause) await this.#pause();
    const dirty = behaviour.resendsDirty ? [...new Set([...ram.dirty!, ...frontEnd.loggedPages()])] : [];
    await this.#send(Buffer.concat([section(this.#pages(dirty), true), tail(this.#rings())]));
  }

  async #pause(): Promise<void> {
    const goesOn = new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
    this.#tell('pre-switchover');
    await goesOn;
    if (this.#cancelled) throw new Broken('cancelled');
    this.#tell('device');
  }

  #rings(): SavedRing[] {
    const { device, behaviour } = this.#o;
    return device.queues
      .filter(({ ready }) => ready)
      .map(({ size, desc, layout, base }) => {
        const next = layout === 'packed' ? base & 0x7fff : base;
        return { size, desc, next: behaviour.savesIndices ? next : 0 };
      });
  }

  #pages(numbers: readonly number[]): Buffer[] {
    return numbers.map((number) => {
      const first = !this.#named;
      this.#named = true;
      return page(number * PAGE, this.#o.ram.read(BigInt(number * PAGE), PAGE), first);
    });
  }

  #connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#o.path);
      socket.once('connect', resolve);
      socket.on('error', (error) => reject(new Broken(error.message)));
      this.#socket = socket;
    });
  }

  /** Resolves when there is room for more. @throws Broken */
  #send(bytes: Buffer): Promise<void> {
    const socket = this.#socket!;
    return new Promise((resolve, reject) => {
      const broken = () => reject(new Broken('Broken pipe'));
      if (this.#cancelled || socket.destroyed) return broken();
      socket.once('close', broken);
      socket.write(bytes, (error) => {
        socket.off('close', broken);
        if (error) broken();
        else resolve();
      });
    });
  }

  #tell(status: string): void {
    this.status = status;
    this.#o.tell(status);
  }
}
