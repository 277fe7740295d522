import { setImmediate } from 'node:timers/promises';
import { Driver } from '../../src/driver/index.js';
import { commandLine, launch, type QemuFacts, type QemuProcess } from '../../src/qemu/index.js';
import type { EventOf, EventType, Recorder, Role } from '../../src/timeline/index.js';
import { RING_IDX } from '../../src/virtio/index.js';
import type { FrontEndName, JsonObject, Region } from '../../src/wire/index.js';
import type { BackEnd } from './back-end.js';
import { guestAddress, type RingFacts } from './sequence.js';
import { type ConnectionLine, isMessage, type Line, type Phase, regionsOf } from './transcript.js';

/** Guest memory and QEMU's retry interval are those of the recordings. */
const MEMORY = 256 << 20;
const RECONNECT_MS = 1000;

/** Packets each way whenever rings have started, so that the next session does not find them where they began. */
const PACKETS = 8;

/** How long anything may take before the course is given up; nothing is judged by it. */
const DEADLINE_MS = 30_000;

export interface CourseOptions {
  facts: QemuFacts;
  role: Role;
  /** Pairs of the device. Its driver uses one, as a Linux guest with one CPU does. */
  pairs: number;
  /** What to go through. Of their lines only where a back-end broke off counts. */
  phases: readonly Phase[];
  backEnd: BackEnd;
  /** A private directory. */
  dir: string;
  /** A file with haltBios(). */
  biosPath: string;
}

/** What a course gave: phases as in a transcript, and what was looked up beside, by position of the phase. */
export interface CourseResult {
  phases: Phase[];
  facts: RingFacts[];
}

/** Runs a QEMU with the guest driver through the phases of a transcript. @throws Error when it does not get through */
export async function runCourse(options: CourseOptions): Promise<CourseResult> {
  const course = new Course(options);
  try {
    return await course.run();
  } finally {
    await course.close();
  }
}

class Course {
  readonly #o: CourseOptions;
  readonly #recorder: Recorder;
  readonly #facts: RingFacts[] = [];
  /** Where the phases begin in the record. */
  readonly #starts: number[] = [];
  #qemu!: QemuProcess;
  #driver: Driver | undefined;
  /** Number of the next packet each way. */
  #packet = 0;
  /** The back-end broke off by itself and is coming back: what comes next begins with that. */
  #broken = false;

  constructor(options: CourseOptions) {
    this.#o = options;
    this.#recorder = options.backEnd.recorder;
  }

  async run(): Promise<CourseResult> {
    for (const phase of this.#o.phases) await this.#phase(phase);
    const phases = this.#o.phases.map(({ name }, i) => ({
      name,
      lines: this.#recorder.events.slice(this.#starts[i], this.#starts[i + 1]).flatMap(toLines),
    }));
    return { phases, facts: this.#facts };
  }

  async close(): Promise<void> {
    await this.#qemu?.dispose();
    this.#driver?.close();
  }

  async #phase({ name, lines }: Phase): Promise<void> {
    switch (name) {
      case 'boot':
        this.#begin();
        return this.#boot();
      case 'after-kill':
      case 'after-exit':
      case 'after-loss':
        return this.#loss(name === 'after-exit' ? 'exit' : 'kill', lines);
      case 'stop':
      case 'cont':
        this.#begin();
        await (await this.#qemu.qmp).execute(name);
        return this.#drained();
      case 'reset':
        this.#begin();
        await (await this.#qemu.qmp).execute('system_reset');
        await this.#until('the reset', () => this.#since('qmp.event').some(({ event }) => event === 'RESET'));
        await this.#driver!.start();
        return this.#settle();
      case 'quit':
        this.#begin();
        this.#qemu.quit();
        await this.#qemu.exited;
        await this.#until('the end of the session', () => this.#since('session.close').length > 0);
    }
  }

  #begin(facts: RingFacts = {}): void {
    this.#starts.push(this.#recorder.events.length);
    this.#facts.push(facts);
  }

  async #boot(): Promise<void> {
    const { role, backEnd } = this.#o;
    if (role === 'client') await backEnd.arrive(true);
    await this.#launch();
    if (role === 'server') await backEnd.arrive(true);
    await this.#qemu.qmp;
    const bus = await this.#qemu.qtest;
    const common = { bus, recorder: this.#recorder, machine: 'q35', personality: 'linux', memory: MEMORY } as const;
    this.#driver = new Driver({ ...common, pairs: 1 });
    await this.#driver.start();
    await this.#settle();
  }

  async #launch(): Promise<void> {
    const { facts, role, pairs, backEnd, dir, biosPath } = this.#o;
    const [qmpPath, qtestPath] = [`${dir}/qmp`, `${dir}/qtest`];
    const argv = commandLine({
      facts,
      role,
      machine: 'q35',
      accel: 'auto',
      queuePairs: pairs,
      ring: 'split',
      memory: MEMORY,
      reconnectMs: RECONNECT_MS,
      socketPath: backEnd.path,
      qmpPath,
      qtestPath,
      biosPath,
    });
    this.#qemu = await launch({ path: facts.path, argv, cwd: dir, qmpPath, qtestPath, recorder: this.#recorder });
  }

  async #loss(how: 'kill' | 'exit', lines: readonly Line[]): Promise<void> {
    const { backEnd } = this.#o;
    if (!this.#broken) await backEnd.leave(how);
    // Where it broke off, the rings had not run since they were looked at.
    this.#begin(this.#broken ? this.#facts.at(-1) : { usedIdx: await this.#usedIndices() });
    const cut = lines.findIndex((line) => !isMessage(line) && line.what === 'stops-reading');
    const last = lines[cut - 1];
    const breaks = last !== undefined && isMessage(last);
    if (breaks) backEnd.breakAt!(last.name, last.body.index as number);
    if (!this.#broken) await backEnd.arrive(false);
    this.#broken = breaks;
    if (breaks) await this.#until('the end of the session', () => this.#since('session.close').length > 0);
    else await this.#settle();
  }

  /** Waits until the rings run and all that QEMU sends about it is here; moves packets. */
  async #settle(): Promise<void> {
    const rings = 2 * this.#o.pairs;
    const kicked = () => new Set(this.#messages('SET_VRING_KICK').map(({ body }) => (body as JsonObject).index));
    await this.#until(`${rings} rings`, () => kicked().size === rings);
    // QEMU sends it all in one turn of its main loop, which answers only after.
    await (await this.#qemu.qmp).execute('query-status');
    await this.#movePackets();
    await this.#drained();
  }

  async #movePackets(): Promise<void> {
    const { backEnd } = this.#o;
    const first = this.#packet;
    this.#packet += PACKETS;
    backEnd.inject?.(first, PACKETS);
    await this.#driver!.transmit(0, first, PACKETS);
    const last = first + PACKETS - 1;
    const sent = () => this.#since('packets.completed').some(({ seqs }) => seqs.at(-1)?.[1] === last);
    const received = () =>
      this.#since('packets.seen').some(({ dir, seqs }) => dir === 'rx' && seqs.at(-1)?.[1] === last);
    await this.#until(`packet ${last}`, () => sent() && (!backEnd.inject || received()));
  }

  /** Waits until all that QEMU sent was read. */
  async #drained(): Promise<void> {
    while (this.#o.backEnd.unread() > 0) await setImmediate();
  }

  /** What QEMU falls back on when nobody is there to be asked for a ring's base. */
  async #usedIndices(): Promise<Map<number, number>> {
    const bus = await this.#qemu.qtest;
    const indices = new Map<number, number>();
    const regions: Region[] = regionsOf(this.#messages('SET_MEM_TABLE', 0).at(-1)!.body as JsonObject);
    for (const { body } of this.#messages('SET_VRING_ADDR', 0)) {
      const { index, used } = body as { index: number; used: string };
      const idx = await bus.readMem('w', guestAddress(BigInt(used), regions)! + BigInt(RING_IDX));
      indices.set(index, Number(idx));
    }
    return indices;
  }

  #since<T extends EventType>(type: T, start = this.#starts.at(-1)!): EventOf<T>[] {
    return this.#recorder.events.slice(start).filter((event) => event.type === type) as EventOf<T>[];
  }

  #messages(name: FrontEndName, start?: number): EventOf<'wire.recv'>[] {
    return this.#since('wire.recv', start).filter((event) => event.name === name);
  }

  async #until(what: string, test: () => boolean): Promise<void> {
    if (test()) return;
    let unlisten = () => {};
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        unlisten = this.#recorder.listen(({ type }) => {
          if (test()) resolve();
          else if (type === 'qemu.exit') reject(new Error(`QEMU ended before ${what}`));
        });
        timer = setTimeout(() => reject(new Error(`not within ${DEADLINE_MS} ms: ${what}`)), DEADLINE_MS);
      });
    } finally {
      unlisten();
      clearTimeout(timer);
    }
  }
}

/** An event as a transcript has it; none for what a transcript does not speak of. */
function toLines(event: ReturnType<Recorder['record']>): Line[] {
  const t = event.t / 1000;
  const connection = (what: ConnectionLine['what']): Line[] => [{ t, what, times: 1 }];
  switch (event.type) {
    case 'session.open':
      return connection('connected');
    case 'session.close':
      return connection(event.by === 'front-end' ? 'quit' : event.unread ? 'reset' : 'eof');
    case 'wire.recv':
    case 'wire.send': {
      if (event.type === 'wire.send' && event.channel !== 'reply') return [];
      const { request, flags, size, fds } = event;
      const from = event.type === 'wire.recv' ? 'front-end' : 'back-end';
      return [{ t, from, request, name: event.name as FrontEndName, flags, size, body: event.body as JsonObject, fds }];
    }
    default:
      return [];
  }
}
