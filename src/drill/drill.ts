import { mkdirSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Variant } from '../cases/index.js';
import { CONTRACT_VERSION, judgeAll, registry } from '../contract/index.js';
import { type GuestFact, type GuestFiles, guestAppend, guestInitramfs, recordGuest } from '../guest/index.js';
import { FdSocket, host, OsError } from '../os/index.js';
import type { Profile } from '../peer/index.js';
import {
  type AccelChoice,
  askVersion,
  chardevId,
  commandLine,
  guestAccel,
  haltBios,
  identify,
  isSocket,
  launch,
  type MachineType,
  type QemuFacts,
  type QemuProcess,
  qemuProcess,
  qemusWith,
  socketArguments,
  Workspace,
} from '../qemu/index.js';
import {
  assess,
  excerpt,
  exitCode,
  fileName,
  type RunResult,
  summarise,
  TIMELINES,
  type VariantResult,
} from '../runner/index.js';
import { Switch } from '../switch/index.js';
import {
  type Event,
  type EventBody,
  type Json,
  type Ms,
  type Recorder,
  type Role,
  readTimeline,
  Timeline,
} from '../timeline/index.js';
import { DrillError } from './error.js';
import { FanOut } from './fan-out.js';
import { dialMonitor, type Monitor, pause, virshMonitor } from './monitor.js';
import { LOOK_MS, Observer } from './observer.js';
import { tellOthers } from './others.js';
import { Port } from './port.js';
import { checked } from './verbs.js';
import type { DrillState, LiveVerdict, PortView } from './view.js';

/** A QEMU that the drill starts itself. */
export interface Spawn {
  facts: QemuFacts;
  machine: MachineType;
  accel: AccelChoice;
  queuePairs: number;
  /** A client's retry interval. */
  reconnectMs: Ms;
  /** How many ports it has whose sockets are left to the drill; 1 unless said. */
  ports?: number;
  /** What it boots; without it a machine that halts at once. */
  guest?: GuestFiles;
}

export interface DrillOptions {
  role: Role;
  /** Of vhost-user, one for each port: QEMU's (server) or the peer's (client). Those of a spawned QEMU may be left to the drill. */
  sockets: readonly string[];
  profile: Profile;
  /** The drill's folder, which is there. */
  out: string;
  /** How QEMU is asked, if it is. */
  monitor?: { qmp: string } | { virsh: string };
  /** QEMU's process, where it cannot be found by its command line. */
  pid?: number;
  spawn?: Spawn;
  /** Whether the switch lends addresses. */
  dhcp: boolean;
  /** Bytes of each port's packet capture; 0 = none. */
  captureBytes: number;
  /** Takes over a path on which somebody listens already. */
  replace: boolean;
  tester: RunResult['tester'];
  /** The command that began it. */
  command: string;
  /** A variant of the catalogue by its id. @throws DrillError */
  variant(id: string): Variant;
  /** Judges so many bytes of a stored timeline, out of the way of what the drill is at; judgeFile() in place. */
  judge(file: string, bytes: number): Promise<LiveVerdict[]>;
}

/** Told of every event, after it was recorded. */
export type EventListener = (port: Port, event: Event) => void;

const SHOWN_RESTARTS = 50;
const EVIDENCE_LINES = 12;
/** Enough for a kernel of Debian's with an initramfs of a few megabytes. */
const GUEST_MEMORY = 128 << 20;
const HALTED_MEMORY = 64 << 20;
/** Judging takes a part of the machine: at most a tenth of it. */
const JUDGE_SHARE = 10;
const JUDGE_MS: Ms = 1000;
const QUIT_MS: Ms = 10_000;
const NO_MONITOR = 'no monitor';
/** Each question is a process. */
const VIRSH_LOOK_MS: Ms = 1000;

/** A live virtual machine, the mock OVS-DPDK as its switch, and restart faults on command. */
export class Drill {
  readonly ports: readonly Port[];
  /** Resolves when the drill is to end: `end` was asked for. */
  readonly ended: Promise<void>;
  /** What cannot be known, in sentences. */
  readonly unknown: string[] = [];
  readonly startedAt: Date;
  readonly #o: DrillOptions;
  readonly #all: FanOut;
  readonly #observer: Observer;
  readonly #abort = new AbortController();
  readonly #listeners = new Set<EventListener>();
  readonly #verdicts = new Map<string, { list: LiveVerdict[]; at: Ms }>();
  #end: () => void = () => {};
  /** From when it was dialled: it is watched a moment later. */
  #dialled: Monitor | undefined;
  #qemu: QemuProcess | undefined;
  #workspace: Workspace | undefined;
  #how = NO_MONITOR;
  /** By port whose QEMU was found: resolves when the port is identified. */
  readonly #describing = new Map<Port, Promise<void>>();
  #version: string | undefined;
  /** Resolves when the version is known, or cannot be. */
  #asked: Promise<void> | undefined;
  #binary: string | undefined;
  /** How much of its timeline the last record was judged by. */
  readonly #judgedBytes = new Map<Port, number>();
  #troubles = 0;
  #judging: NodeJS.Timeout | undefined;
  #judged: Promise<void> = Promise.resolve();
  #over = false;
  #closing: Promise<void> | undefined;
  #incomplete: DrillError | undefined;

  private constructor(options: DrillOptions, sockets: readonly string[]) {
    this.#o = options;
    this.startedAt = new Date();
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    mkdirSync(join(options.out, TIMELINES));
    const byName = new Map<string, Port>();
    const network: Switch = new Switch({
      now: () => this.#all.now(),
      note: (notice) => {
        if (notice.kind === 'echo') byName.get(notice.port)?.echo(notice);
      },
      dhcp: options.dhcp,
    });
    let like: Recorder | undefined;
    this.ports = sockets.map((socket, i) => {
      const name = `p${i}`;
      const port = new Port({
        name,
        role: options.role,
        socket,
        profile: options.profile,
        out: options.out,
        file: join(TIMELINES, `${fileName(`drill[port=${name}]`)}.jsonl`),
        ...(like && { like }),
        tester: options.tester.version,
        startedAt: this.startedAt,
        driver: options.spawn && !options.spawn.guest ? 'none' : 'guest',
        joined: options.spawn === undefined,
        network,
        observer: () => this.#observer,
        captureBytes: options.captureBytes,
        incomplete: (file, error) => this.#spoiled(file, error),
      });
      like ??= port.recorder;
      byName.set(name, port);
      return port;
    });
    // What a QEMU of ours says of one chardev, such as that it cannot connect, is of that port.
    const named = (body: EventBody) =>
      body.type === 'qemu.stderr' ? /\bcharacter device (c\d+):/.exec(body.line)?.[1] : undefined;
    this.#all = new FanOut(
      this.ports.map(({ recorder }) => recorder),
      (body) => {
        const chardev = named(body);
        return chardev === undefined ? undefined : this.ports.find((_, i) => chardevId(i) === chardev)?.recorder;
      },
    );
    tellOthers(this.ports);
    this.#observer = new Observer(this.#all, { ours: options.spawn !== undefined });
    for (const port of this.ports)
      port.recorder.listen((event) => {
        this.#took(port, event);
        for (const listener of this.#listeners) listener(port, event);
      });
  }

  /**
   * Begins a drill: the peer comes, then the QEMU, where it is spawned. Resolves when both are on their way.
   * @throws DrillError ERR_SOCKET, ERR_MONITOR; QemuError; OsError; GuestError
   */
  static async begin(options: DrillOptions): Promise<Drill> {
    const workspace = options.spawn && (await Workspace.create());
    let drill: Drill | undefined;
    try {
      const own = Array.from({ length: options.spawn?.ports ?? 1 }, (_, i) => `vhost-user${i || ''}.sock`);
      const sockets = options.sockets.length > 0 ? options.sockets : own.map((name) => join(workspace!.path, name));
      if (!options.replace) for (const socket of sockets) await demandFree(options.role, socket);
      drill = new Drill(options, sockets);
      drill.#workspace = workspace;
      await drill.#begin();
      return drill;
    } catch (error) {
      if (drill) await drill.#close();
      await workspace?.close();
      throw error;
    }
  }

  /** Calls the listener with every later event. @returns a function that ends it */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why the record is not whole; the first reason. */
  get incomplete(): DrillError | undefined {
    return this.#incomplete;
  }

  /** What it is in now. */
  state(): DrillState {
    const exit = this.#all.latest('qemu.exit');
    const beat = this.#all.latest('qmp.heartbeat');
    const silent = this.#all.latest('qmp.silent');
    const lost = this.#all.latest('qmp.lost');
    const isLost = !exit && after(lost, this.#all.latest('qmp.ready'));
    const isSilent = !exit && !isLost && after(silent, beat);
    const known = this.#observer.pid !== undefined;
    const guest = this.#o.spawn?.guest && (this.#all.latest('guest.ready') ? ('up' as const) : ('booting' as const));
    return {
      now: this.#all.now(),
      over: this.#over,
      vm: {
        state: exit ? 'gone' : known ? 'running' : 'unknown',
        how: this.#how,
        ...(this.#observer.pid !== undefined && { pid: this.#observer.pid }),
        ...(this.#version !== undefined && { version: this.#version }),
        ...(beat && !exit && !isLost && { runState: beat.status, latencyMs: beat.latency }),
        ...(isSilent && { silentForMs: this.#all.now() - silent!.since }),
        ...(isLost && { silentForMs: this.#all.now() - lost!.t }),
        ...(exit && { exit: pick(exit) }),
        ...(exit && exit.asked === undefined && { evidence: this.#evidence() }),
        ...(guest && { guest }),
        troubles: this.#troubles,
      },
      ports: Object.fromEntries(this.ports.map((port) => [port.name, this.#view(port)])),
    };
  }

  /**
   * Does what an operator asks for. @param port its name; all ports without
   * @throws DrillError ERR_VERB, ERR_PARAMETERS, ERR_PORT, ERR_BUSY, ERR_STEP, ERR_OVER
   */
  async perform(name: string, params?: unknown, port?: string): Promise<Json | undefined> {
    const { verb, params: given } = checked(name, params);
    if (this.#over) throw new DrillError('ERR_OVER', 'the drill is over', 'begin another');
    const ports = port === undefined ? this.ports : this.ports.filter((one) => one.name === port);
    if (ports.length === 0)
      throw new DrillError(
        'ERR_PORT',
        `there is no port ${port}`,
        `there are ${this.ports.map((one) => one.name).join(', ')}`,
      );
    return verb.run(
      { ports, variant: this.#o.variant, qmp: (execute, args) => this.#ask(execute, args), end: () => this.#end() },
      given,
    );
  }

  /** Ends it: the peer leaves, a spawned QEMU quits, all is stored. */
  stop(): Promise<void> {
    return this.#close();
  }

  /** The record as it would be if the drill ended now. */
  async interim(): Promise<RunResult> {
    // Who QEMU is can be stored once only: a report that comes before it must not settle that.
    const ports = this.ports.filter(({ identified }) => identified);
    if (ports.length === 0)
      throw new DrillError('ERR_STEP', 'no QEMU came so far: there is nothing to report', 'start the virtual machine');
    for (const { writer } of ports) writer.flush();
    return this.#record(ports);
  }

  /**
   * The timeline of a port as the last record was judged by, for a report of that: what came later is not in it.
   * @throws TimelineError, or the file system's error
   */
  judged(file: string): Promise<Timeline> {
    const port = this.ports.find(({ writer }) => writer.file === file);
    return readTimeline(file, port && this.#judgedBytes.get(port));
  }

  /** Ends it, if it is not over, and judges. @returns the record, as a run @throws DrillError ERR_RECORD when nothing is left of it */
  async finish(): Promise<RunResult> {
    await this.#close();
    return this.#record();
  }

  async #record(ports = this.ports): Promise<RunResult> {
    const variants: VariantResult[] = [];
    for (const [place, port] of ports.entries()) variants.push(await this.#result(port, place));
    const summary = summarise(variants);
    const binary = this.#binary ?? 'unknown';
    const identity = await identify(binary);
    return {
      schema: 2,
      tester: this.#o.tester,
      contract: { version: CONTRACT_VERSION },
      startedAt: this.startedAt.toISOString(),
      durationMs: Date.now() - this.startedAt.getTime(),
      qemu: {
        path: this.#o.spawn?.facts.path ?? binary,
        version: this.#version ?? '0.0.0',
        versionText: this.#version === undefined ? 'unknown' : `QEMU emulator version ${this.#version}`,
        binary,
        ...identity,
      },
      hosts: [await host()],
      selection: {
        selectors: ['drill'],
        roles: [this.#o.role],
        machines: [...new Set(variants.map(({ machine }) => machine))],
        profiles: [this.#o.profile.name],
        accel: this.#o.spawn?.accel ?? 'auto',
        repeat: 1,
        jobs: 1,
        selection: 'full',
        level: 'must',
      },
      summary,
      variants,
      notRun: [],
      interrupted: false,
      exitCode: exitCode({ summary, notRun: [], interrupted: false }),
    };
  }

  // --- beginning and end --------------------------------------------------------------------------------------------------

  async #begin(): Promise<void> {
    const { spawn, monitor, pid } = this.#o;
    if (spawn) await this.#spawn(spawn);
    else {
      for (const port of this.ports) port.stage();
      this.#tellUnknown();
      if (pid !== undefined && !this.#observer.watchProcess(pid))
        throw new DrillError(
          'ERR_MONITOR',
          `process ${pid} is no QEMU, or not ours to look at`,
          'run as the user of QEMU, or root',
        );
      this.#find();
      await this.#present();
      if (monitor && 'virsh' in monitor) await this.#beginVirsh(monitor.virsh);
      else if (monitor) {
        this.#how = `QMP ${monitor.qmp}, not answering yet`;
        void this.#asking(LOOK_MS, (signal) => dialMonitor(monitor.qmp, this.#all, signal)).catch((error: unknown) =>
          this.#trouble(error),
        );
      }
    }
    this.#judging = setTimeout(() => this.#judge(), JUDGE_MS);
  }

  /** Resolves when the domain answers, or does not yet. @throws DrillError ERR_MONITOR when virsh cannot be asked at all */
  async #beginVirsh(domain: string): Promise<void> {
    const tried = new Promise<void>((resolve, reject) => {
      const waits = (why: string) => {
        const first = this.#how === NO_MONITOR;
        this.#how = `virsh ${domain}, not answering: ${why}`;
        if (first) this.unknown.push(`The domain ${domain} does not answer yet, and is asked again: ${why}`);
        resolve();
      };
      this.#asking(VIRSH_LOOK_MS, async (signal) => {
        const monitor = await virshMonitor(domain, this.#all, signal, { waits });
        resolve();
        return monitor;
      }).catch((error: unknown) => {
        reject(error);
        this.#trouble(error);
      });
    });
    await tried;
  }

  /** Asks QEMU by a monitor, and by another one when that is lost, as long as it lives. @throws what `dial` throws */
  async #asking(intervalMs: Ms, dial: (signal: AbortSignal) => Promise<Monitor>): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const monitor = await dial(signal);
      await this.#watch(monitor, intervalMs);
      const why = await monitor.lost;
      if (signal.aborted) return;
      this.#how = `${monitor.how}, lost: ${why}`;
      this.#all.record({ type: 'qmp.lost', why });
      await pause(signal);
    }
  }

  /** The peers come. A listening QEMU may not be there yet: they dial on. @param startup see Peer.arrive() */
  async #present(startup = false): Promise<void> {
    const arrive = ({ role, peer }: Port) =>
      role === 'client' ? peer.arrive() : void peer.arrive({}, startup).catch(() => {});
    await Promise.all(this.ports.map(arrive));
  }

  async #spawn({ facts, machine, accel, queuePairs, reconnectMs, guest }: Spawn): Promise<void> {
    const { path: dir } = await this.#workspace!.makeDir();
    const file = (name: string) => join(dir, name);
    const memory = guest ? GUEST_MEMORY : HALTED_MEMORY;
    if (guest) await writeFile(file('initrd'), await guestInitramfs(guest));
    else await writeFile(file('bios'), haltBios());
    const { role } = this.#o;
    const [socketPath, ...morePaths] = this.ports.map(({ socket }) => socket);
    const argv = commandLine({
      facts,
      role,
      machine,
      accel: guest && accel === 'auto' ? await guestAccel(facts) : accel,
      queuePairs,
      ring: 'split',
      memory,
      reconnectMs,
      socketPath: socketPath!,
      morePaths,
      qmpPath: file('qmp'),
      qtestPath: file('qtest'),
      biosPath: file('bios'),
      ...(guest && {
        guest: {
          kernel: guest.kernel,
          initrd: file('initrd'),
          append: guestAppend(this.#o.dhcp ? { address: 'dhcp' } : {}),
          consolePath: file('console'),
        },
      }),
    });
    this.#version = facts.version;
    this.#binary = facts.binary;
    this.#how = 'spawned';
    for (const port of this.ports)
      port.identify({
        version: facts.version,
        argv: [facts.path, ...argv],
        queuePairs,
        reconnectMs: role === 'client' ? reconnectMs : 0,
        machine,
        memory,
      });
    // A client dials at its start, and waits for nobody.
    if (role === 'client') await this.#present();
    const qemu = await launch({
      path: facts.path,
      argv,
      cwd: dir,
      qmpPath: file('qmp'),
      ...(guest ? { consolePath: file('console') } : { qtestPath: file('qtest') }),
      core: true,
      recorder: this.#all,
    });
    this.#qemu = qemu;
    for (const port of this.ports) port.stage(qemu);
    this.#observer.watchProcess(qemu.pid);
    if (role === 'server') await this.#present(true);
    const ignore = () => {};
    const heard = ({ kind }: GuestFact) => {
      if (kind === 'trouble') this.#troubles++;
    };
    // The NICs are on the bus in the order of the ports, and so the kernel numbers them.
    const ofNic = (nic: string) => this.ports.find((_, i) => nic === `eth${i}`)?.recorder;
    if (guest) qemu.console.then((socket) => recordGuest(socket, this.#all, heard, ofNic), ignore);
    qemu.qmp.then((qmp) => {
      const monitor: Monitor = {
        how: 'spawned',
        execute: async (command, args, options) => {
          if (command !== 'quit') return qmp.execute(command, args, options);
          qemu.quit();
          return {};
        },
        lost: qemu.exited.then(() => 'QEMU has ended'),
        close: ignore,
      };
      this.#observer.watchMonitor(
        monitor,
        this.ports.map(({ recorder }, i) => ({ id: chardevId(i), recorder })),
      );
    }, ignore);
  }

  /** Whoever ends it too waits for the same end. */
  #close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#over = true;
    this.#abort.abort(new DrillError('ERR_OVER', 'the drill is over'));
    clearTimeout(this.#judging);
    await this.#judged;
    const qemu = this.#qemu;
    if (qemu && !this.#observer.gone) {
      // A QEMU that waits for its peer hears no quit.
      for (const { peer } of this.ports) if (peer.session?.keepsWaiting) await peer.leave('close');
      qemu.quit();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((done) => {
        timer = setTimeout(done, QUIT_MS);
      });
      await Promise.race([qemu.exited, late]);
      clearTimeout(timer);
    }
    // The record of an operator's QEMU, which goes on, ends before the peer leaves it: that is no fault of the drill any more.
    if (!qemu) for (const port of this.ports) port.end();
    for (const port of this.ports) await port.close();
    await qemu?.kill();
    this.#observer.stop();
    this.#dialled?.close();
    await qemu?.dispose();
    if (qemu) for (const port of this.ports) port.end();
    // Who QEMU is stands in the first line of a record. With the peers gone no other one comes.
    await Promise.all(this.#describing.values());
    for (const port of this.ports) port.store();
    await this.#workspace?.close();
  }

  // --- who QEMU is --------------------------------------------------------------------------------------------------------

  #tellUnknown(): void {
    const { monitor } = this.#o;
    if (!monitor)
      this.unknown.push(
        'Without a monitor it is not known what the chardev says of itself, whether QMP answers, which state the machine is in, and whether its guest was reset.',
      );
    this.unknown.push(
      'QEMU is no child of the tester: its exit status and its stderr are not known.',
      'The guest is its own: its link is not known, and an outage only while it pings the switch.',
    );
  }

  /** Looks for the QEMU by the sockets on its command line, and for what that says. */
  #find(pid?: number): void {
    for (const port of this.ports) {
      if (port.identified || this.#describing.has(port)) continue;
      const known = pid ?? this.#observer.pid ?? this.#o.pid;
      const candidates = known === undefined ? [] : [qemuProcess(known)].filter((one) => one !== undefined);
      const found =
        candidates.find(({ argv }) => socketArguments(argv, port.socket)) ?? qemusWith(port.socket)[0] ?? candidates[0];
      if (!found) continue;
      this.#observer.watchProcess(found.pid);
      const about = socketArguments(found.argv, port.socket);
      if (about && about.role !== port.role)
        this.#trouble(
          new Error(
            `${port.socket} has role ${about.role} on the command line of process ${found.pid}, not ${port.role}`,
          ),
        );
      this.#describing.set(port, this.#describe(port, found.pid, found.argv, about));
    }
  }

  async #describe(port: Port, pid: number, argv: string[], about: ReturnType<typeof socketArguments>): Promise<void> {
    const exe = `/proc/${pid}/exe`;
    try {
      this.#binary ??= readlinkSync(exe);
    } catch {
      // Not ours to look at.
    }
    this.#asked ??= askVersion(exe).then(
      (text) => {
        this.#version = /version (\d+\.\d+\.\d+)/.exec(text)?.[1];
      },
      () => {},
    );
    await this.#asked;
    port.identify({
      argv,
      ...(this.#version !== undefined && { version: this.#version }),
      ...(about && {
        queuePairs: about.netdev?.queuePairs ?? 1,
        reconnectMs: about.reconnectMs,
        machine: about.machine ?? 'unknown',
        memory: about.memory ?? 0,
      }),
    });
  }

  async #watch(monitor: Monitor, intervalMs: Ms): Promise<void> {
    this.#dialled = monitor;
    if (this.#over) return monitor.close();
    this.#how = monitor.how;
    const list = (await monitor.execute('query-chardev', undefined, { silent: true }).catch(() => [])) as {
      label: string;
      filename: string;
    }[];
    // A QEMU that hangs may answer after the end, or never.
    if (this.#over) return;
    const chardevs = this.ports.flatMap((port) => {
      const onLine = this.#argv(port);
      const named = onLine && socketArguments(onLine, port.socket)?.chardev;
      const id = named ?? list.find(({ filename }) => filename.includes(`unix:${port.socket}`))?.label;
      return id === undefined ? [] : [{ id, recorder: port.recorder }];
    });
    const unfound = 'Of some ports the chardev was not found, and not known is what it says of itself.';
    if (chardevs.length < this.ports.length && !this.unknown.includes(unfound)) this.unknown.push(unfound);
    this.#observer.watchMonitor(monitor, chardevs, intervalMs);
  }

  #argv(port: Port): string[] | undefined {
    const { pid } = this.#observer;
    return (pid === undefined ? undefined : qemuProcess(pid)?.argv) ?? qemusWith(port.socket)[0]?.argv;
  }

  /** The switch goes on: a virtual machine that works does so without a record. Said once, whatever else fails then. */
  #spoiled(file: string, { message }: Error): void {
    if (this.#incomplete) return;
    const at = (this.#all.now() / 1000).toFixed(3);
    this.#incomplete = new DrillError(
      'ERR_RECORD',
      `the record is incomplete, from +${at} s on: ${file}: ${message}`,
      'the drill goes on without; for a whole record begin another where there is room',
    );
    this.#trouble(this.#incomplete);
  }

  /** The tester's own, unless it is that a drill is over. */
  #trouble(error: unknown): void {
    if (error === this.#abort.signal.reason) return;
    const { message, hint } = error as { message: string; hint?: string };
    this.#all.record({ type: 'tester.trouble', what: message, ...(hint === undefined ? {} : { hint }) });
  }

  // --- what happens -------------------------------------------------------------------------------------------------------

  #took(port: Port, event: Event): void {
    if (event.type === 'qemu.exit') this.#abort.abort(new DrillError('ERR_OVER', 'QEMU has ended'));
    // Who dials is QEMU itself; who made a listening socket may have been somebody else, who handed it on.
    if (event.type === 'session.open' && !this.#o.spawn && !port.identified)
      // After all have heard of the session itself.
      queueMicrotask(() => {
        this.#find(event.pid);
        // Nobody of whom more could be known (another's process, of a container, by a descriptor of libvirt's): it is judged as it is.
        if (!this.#describing.has(port)) port.identify({});
      });
  }

  async #ask(execute: string, args: Json | undefined): Promise<Json | undefined> {
    const { monitor } = this.#observer;
    if (!monitor)
      throw new DrillError('ERR_STEP', `${execute} needs a monitor`, 'begin the drill with --qmp or --virsh');
    try {
      return await monitor.execute(execute, args);
    } catch (error) {
      throw new DrillError('ERR_STEP', `${execute}: ${(error as Error).message}`);
    }
  }

  #judge(): void {
    const began = performance.now();
    this.#judged = (async () => {
      for (const port of this.ports) {
        if (!port.identified) continue;
        port.writer.flush();
        if (port.writer.failure) continue;
        const list = await this.#o.judge(port.writer.file, port.writer.size);
        this.#verdicts.set(port.name, { list, at: port.recorder.now() });
      }
    })().catch((error: Error) => {
      if ('syscall' in error) this.#spoiled(this.#o.out, error);
      else this.#trouble(error);
    });
    void this.#judged.then(() => {
      const took = performance.now() - began;
      if (!this.#over) this.#judging = setTimeout(() => this.#judge(), Math.max(JUDGE_MS, JUDGE_SHARE * took));
    });
  }

  #view(port: Port): PortView {
    const { restarts } = port.restarts;
    const verdicts = this.#verdicts.get(port.name);
    return {
      ...port.state,
      ...(port.busy !== undefined && { busy: port.busy }),
      restarts: restarts.slice(-SHOWN_RESTARTS),
      restartCount: restarts.length,
      ...(verdicts && { verdicts: verdicts.list, verdictsAt: verdicts.at }),
      counters: port.counters,
    };
  }

  /** What is known of an end that nobody asked for. */
  #evidence(): string[] {
    const mortem = this.#all.latest('qemu.post-mortem');
    const assertion = mortem?.assertion;
    const { events } = this.ports[0]!.recorder;
    const words = events.flatMap((event) => (event.type === 'qemu.stderr' ? [event.line] : [])).slice(-EVIDENCE_LINES);
    return [
      ...(assertion
        ? [`assertion '${assertion.expression}' in ${assertion.function} (${assertion.file}:${assertion.line})`]
        : []),
      ...words,
      ...(mortem?.backtrace ?? (mortem?.noBacktrace === undefined ? [] : [mortem.noBacktrace])),
    ];
  }

  async #result(port: Port, place: number): Promise<VariantResult> {
    const file = join(TIMELINES, `${fileName(port.variant.id)}.jsonl`);
    const timeline = await this.#stored(port);
    const assessed = assess(timeline);
    return {
      place,
      variant: port.variant.id,
      case: port.variant.caseId,
      title: port.variant.title,
      role: port.role,
      machine: timeline.context.machine,
      profile: timeline.context.profile,
      ...assessed,
      durationMs: timeline.end,
      timeline: file,
      excerpt: excerpt(timeline, assessed.requirements, assessed),
      reproduce: this.#o.command,
    };
  }

  /** What is stored of a port. That something is missing could not be stored, and is judged all the same. @throws DrillError ERR_RECORD */
  async #stored(port: Port): Promise<Timeline> {
    const { name, writer } = port;
    this.#judgedBytes.set(port, writer.size);
    const timeline = await this.judged(writer.file).catch((error: Error) => {
      throw new DrillError('ERR_RECORD', `there is no record of ${name}: ${error.message}`);
    });
    if (!writer.failure) return timeline;
    const what = this.#incomplete!.message;
    return new Timeline([
      ...timeline.events,
      { seq: timeline.events.length, t: timeline.end, type: 'tester.trouble', what },
    ]);
  }
}

/** Judges so many bytes of a stored timeline in place. @throws TimelineError */
export async function judgeFile(file: string, bytes: number): Promise<LiveVerdict[]> {
  const results = judgeAll(await readTimeline(file, bytes));
  return registry.map(({ id, title, level }, i): LiveVerdict => {
    const { judgement } = results[i]!;
    return {
      requirement: id,
      title,
      level,
      outcome: judgement.outcome,
      ...('kind' in judgement && { kind: judgement.kind }),
      seen: judgement.seen,
    };
  });
}

const after = (event: { seq: number } | undefined, other: { seq: number } | undefined): boolean =>
  event !== undefined && event.seq > (other?.seq ?? -1);

const pick = ({ code, signal, asked }: { code: number | null; signal: string | null; asked?: 'quit' | 'kill' }) => ({
  code,
  signal,
  ...(asked && { asked }),
});

/** A path of ours on which somebody listens is somebody's switch. @throws DrillError ERR_SOCKET */
async function demandFree(role: Role, socket: string): Promise<void> {
  if (role === 'server' || !isSocket(socket)) return;
  try {
    (await FdSocket.dial(socket)).close();
  } catch (error) {
    // Stale: nobody is there any more.
    if (error instanceof OsError && error.code === 'ECONNREFUSED') return;
    throw error;
  }
  throw new DrillError(
    'ERR_SOCKET',
    `somebody listens on ${resolve(socket)}`,
    'stop the switch that is there, or take its path with --replace',
  );
}
