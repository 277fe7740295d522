import { once } from 'node:events';
import { createServer } from 'node:net';
import { FdSocket } from '../../../src/os/index.js';
import type { Behaviour } from './behaviour.js';
import { type Chardev, ClientChardev, ServerChardev } from './chardev.js';
import { commands } from './commands.js';
import { Connection, ConnectionLost } from './connection.js';
import { offeredFeatures } from './features.js';
import { FrontEnd } from './front-end.js';
import { LineSocket } from './line-socket.js';
import { MainLoop } from './main-loop.js';
import { Migration } from './migration.js';
import { DEVICE_PIN, Mmio } from './mmio.js';
import { NetDevice } from './net-device.js';
import type { ChardevOptions, Options } from './options.js';
import { Qmp } from './qmp.js';
import { Qtest } from './qtest.js';
import { Ram } from './ram.js';
import { complain } from './stderr.js';

/** Pause between link states where a fault has more than one: long enough for a guest to look at each. */
const LINK_FLAP_MS = 200;

/** One QEMU: a monitor and, unless it was started for its facts only, a machine with a vhost-user network device. */
export class Twin {
  /** Whether the chardev has a peer. */
  connected = false;
  /** Whether the virtual machine runs. */
  running = true;
  /** Connections that were begun, and connections that ended after their handshake. */
  connections = 0;
  losses = 0;
  readonly #options: Options;
  readonly #behaviour: Behaviour;
  readonly #loop = new MainLoop();
  #chardev: Chardev | undefined;
  #frontEnd: FrontEnd | undefined;
  #device: NetDevice | undefined;
  #qmp: Qmp | undefined;
  /** Clients of the second monitor. */
  readonly #second = new Set<Qmp>();
  /** Monitor lines that wait until the monitor answers again. */
  #held: string[] = [];
  #quitting = false;
  #migration: Migration | undefined;
  #ram: Ram | undefined;
  /** QMP's word for a machine that does not run. */
  #halted = 'paused';

  constructor(options: Options, behaviour: Behaviour) {
    this.#options = options;
    this.#behaviour = behaviour;
  }

  /** Starts up. Resolves when the monitor answers: with a network device that is after the first handshake. */
  async start(): Promise<void> {
    const { qmp, qtest, chardev, netdev } = this.#options;
    if (qmp === undefined) throw new Error('no -qmp unix:PATH,server=off');
    const monitor = await LineSocket.dial(qmp);
    monitor.onClose(() => this.#abandoned());
    this.#qmp = new Qmp(monitor, commands(this));
    const guest = qtest === undefined ? undefined : await LineSocket.dial(qtest);
    if (this.#options.monitor !== undefined) await this.#listen(this.#options.monitor);
    if (chardev && netdev) await this.#plug(chardev, netdev.queuePairs, guest);
    this.#qmp.greet();
    monitor.onLine((line) => this.#monitorLine(line));
  }

  get chardevId(): string {
    return this.#options.chardev?.id ?? '';
  }

  get socketPath(): string {
    return this.#options.chardev?.path ?? '';
  }

  get reportedConnected(): boolean {
    return this.#behaviour.reportsConnected(this);
  }

  get filename(): string {
    const connected = this.reportedConnected;
    return this.#behaviour.names(this.#chardev?.filename(connected) ?? '', connected);
  }

  /** Makes the listening socket anew (server role). */
  async recreateListener(): Promise<void> {
    if (this.#chardev instanceof ServerChardev) await this.#chardev.recreate();
  }

  /** Dials its own socket, as a listening QEMU must not. */
  dialSelf(): Promise<FdSocket> {
    return FdSocket.dial(this.socketPath);
  }

  /** Queues a task of the main loop. */
  soon(task: () => void | Promise<void>): void {
    void this.#loop.run(task);
  }

  async setRunning(running: boolean): Promise<void> {
    if (running === this.running) return;
    this.running = running;
    this.#halted = 'paused';
    await this.#device?.setRunning(running);
    this.#tell(running ? 'RESUME' : 'STOP');
  }

  /** QMP's word for what the machine does. */
  get runState(): string {
    return this.running ? 'running' : this.#halted;
  }

  get migration(): Migration | undefined {
    return this.#migration;
  }

  /** Why it cannot be migrated. */
  get migrationBlocker(): string | undefined {
    return this.#frontEnd?.blocker;
  }

  /** Begins to migrate. @param path a unix socket that somebody listens on */
  migrate(path: string, pause: boolean): void {
    if (!this.#ram || !this.#frontEnd || !this.#device) throw new Error('there is nothing to migrate');
    this.#migration = new Migration({
      path,
      pause,
      ram: this.#ram,
      frontEnd: this.#frontEnd,
      device: this.#device,
      behaviour: this.#behaviour,
      run: (task) => this.#loop.run(task),
      tell: (status) => {
        if (status === 'completed') this.#halted = 'postmigrate';
        this.#tell('MIGRATION', { status });
      },
      setRunning: async (running) => {
        await this.setRunning(running);
        this.#halted = 'finish-migrate';
      },
      running: () => this.running,
    });
    void this.#migration.start();
  }

  async reset(): Promise<void> {
    await this.#device?.reset();
    this.#tell('RESET', { guest: false, reason: 'host-qmp-system-reset' });
  }

  /** Presses the power button, of which only management hears: there is no guest to power down. */
  powerDown(): void {
    this.#tell('POWERDOWN');
  }

  async setLink(up: boolean): Promise<void> {
    this.#device?.setLink(up);
    await this.#device?.setBackend(up && this.connected);
  }

  /** Ends the connection at once, as the monitor's yank does; without one there is nothing to end. */
  yank(): void {
    if (this.#behaviour.heedsYank) this.#frontEnd?.yank();
  }

  /** The guest reads zeros for the address of its device from now on. */
  forgetAddress(): void {
    this.#device?.mac.fill(0);
  }

  /** The guest reads 0 for the MTU of its device from now on. */
  forgetMtu(): void {
    if (this.#device) this.#device.mtu = 0;
  }

  async announce(): Promise<void> {
    if (this.#device) await this.#frontEnd?.announce(this.#device);
  }

  /** The same many times. The main loop waits for a back-end that does not read. */
  announceOften(times: number): void {
    this.soon(async () => {
      for (let i = 0; i < times; i++) {
        await this.announce();
        await this.#frontEnd?.taken();
      }
    });
  }

  /** Ends as QMP `quit` has it: the rings are taken back first. */
  quit(): void {
    this.#quitting = true;
    this.#tell('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
    this.soon(async () => {
      const { exitCode } = this.#behaviour;
      if (exitCode === undefined) return new Promise<never>(() => {});
      await this.#device?.setRunning(false);
      await this.#chardev?.close();
      process.exit(exitCode);
    });
  }

  /** Ends as a failed assertion does: with its text and SIGABRT. process.abort() would add a stack of node's. */
  abort(assertion: string): void {
    complain(assertion);
    process.kill(process.pid, 'SIGABRT');
  }

  /** The tester is gone: nothing is left to stand in for. */
  #abandoned(): void {
    if (!this.#quitting) process.exit(1);
  }

  /** Clients of the second monitor come and go; the main loop answers them as it does the first. */
  async #listen(path: string): Promise<void> {
    const server = createServer((socket) => {
      const line = new LineSocket(socket);
      const qmp = new Qmp(line, commands(this));
      this.#second.add(qmp);
      line.onClose(() => this.#second.delete(qmp));
      qmp.greet();
      if (this.#behaviour.answersSecondMonitor) line.onLine((text) => this.soon(() => qmp.execute(text)));
    });
    server.listen(path);
    await once(server, 'listening');
  }

  #tell(event: string, data?: object): void {
    this.#qmp?.event(event, data);
    if (this.#behaviour.tellsSecondMonitor) for (const qmp of this.#second) qmp.event(event, data);
  }

  #monitorLine(line: string): void {
    if (this.#behaviour.answersMonitor(this)) this.soon(() => this.#qmp!.execute(line));
    else this.#held.push(line);
  }

  /** Plugs the network device: blocks, as net_vhost_user_init does, until a back-end went through the handshake. */
  async #plug(chardev: ChardevOptions, queuePairs: number, guest: LineSocket | undefined): Promise<void> {
    const behaviour = this.#behaviour;
    const ram = new Ram(this.#options.memory);
    this.#ram = ram;
    const frontEnd = new FrontEnd({
      ram,
      queuePairs,
      mtu: this.#options.mtu,
      behaviour,
      moment: () => ({ twin: this, connection: this.connections }),
    });
    this.#frontEnd = frontEnd;
    await this.#createChardev(chardev, queuePairs, ram);
    const connection = await this.#nextConnection(true);
    const device = new NetDevice({
      ram,
      offered: offeredFeatures(frontEnd.offered, {
        multiqueue: this.#options.multiqueue && queuePairs > 1,
        packed: this.#options.packed,
        mtu: this.#options.mtu > 0,
      }),
      mtu: this.#options.mtu,
      queuePairs,
      backend: frontEnd,
      interruptLine: (raised) => qtest?.interruptLine(DEVICE_PIN, raised),
      forwardsKick: () => behaviour.forwardsKick(this.connections),
      changesPairs: () => behaviour.changesPairs(this.connections),
      followsMorePairs: () => behaviour.followsMorePairs(this.connections),
      takesOverUsed: behaviour.takesOverUsed,
      tamper: (frames, before) => behaviour.tampers(frames, before, this.connections),
    });
    const qtest = guest && new Qtest(guest, ram, new Mmio(device, this.#options.slots));
    this.#device = device;
    await device.setActivePairs(1);
    guest?.onLine((line) => this.soon(() => qtest!.execute(line)));
    void this.#serve(connection);
  }

  async #createChardev(options: ChardevOptions, queuePairs: number, ram: Ram): Promise<void> {
    const behaviour = this.#behaviour;
    if (!options.server) {
      this.#chardev = new ClientChardev(options, behaviour);
      return;
    }
    const chardev = new ServerChardev(options, behaviour, (socket) => {
      const moment = () => ({ twin: this, connection: this.connections });
      void new FrontEnd({ ram, queuePairs, mtu: 0, behaviour, moment }).open(new Connection(socket)).catch(() => {});
    });
    await chardev.listen();
    this.#chardev = chardev;
    if (behaviour.saysThatItWaits)
      complain(`-netdev vhost-user: info: QEMU waiting for connection on: ${chardev.filename(false)}`);
  }

  /** From here on the main loop runs: losses and returns are its tasks. */
  async #serve(first: Connection): Promise<void> {
    for (let connection = first; ; connection = await this.#nextConnection(false)) {
      await connection.closed;
      await this.#loop.run(() => this.#lost());
    }
  }

  /** The next peer that goes through the handshake. `starting`: the main loop does not run yet. */
  async #nextConnection(starting: boolean): Promise<Connection> {
    for (;;) {
      const connection = new Connection(await this.#chardev!.next(starting), this.#behaviour.checksAnswers);
      this.connections++;
      // What is garbage of JavaScript's would not be there in a front-end in C.
      globalThis.gc?.();
      this.connected = true;
      let opened = false;
      await this.#loop.run(async () => {
        opened = await this.#opened(connection);
      });
      if (opened) return connection;
      this.connected = false;
      // QEMU dials again at once while it starts: net_vhost_user_init waits for a connection in a loop.
    }
  }

  /** A peer is there. @returns whether it went through the handshake */
  async #opened(connection: Connection): Promise<boolean> {
    try {
      await this.#frontEnd!.open(connection);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      connection.close();
      this.#frontEnd!.lost(this.#device);
      return false;
    }
    this.#showLink('return');
    await this.#device?.setBackend(true);
    this.#announce('CONNECTED');
    for (const line of this.#held.splice(0)) this.#monitorLine(line);
    if (this.#behaviour.dropsPeer(this.connections)) connection.close();
    return true;
  }

  async #lost(): Promise<void> {
    complain('Unexpected end-of-file before all data were read');
    this.connected = false;
    this.losses++;
    this.#frontEnd!.lost(this.#device);
    this.#showLink('loss');
    await this.#device?.setBackend(false);
    this.#announce('DISCONNECTED');
    this.#behaviour.afterLoss(this, this.losses);
  }

  /** Without a device QEMU starts up still, and nobody listens to its monitor. */
  #announce(what: 'CONNECTED' | 'DISCONNECTED'): void {
    if (!this.#device) return;
    for (const word of this.#behaviour.announces(what, this.connections))
      this.#tell(`NETDEV_VHOST_USER_${word}`, {
        'netdev-id': this.#options.netdev!.id,
        ...(word === 'CONNECTED' ? { 'chardev-id': this.#behaviour.tellsChardev(this.chardevId) } : {}),
      });
  }

  /** The first state now, others later: the guest must be able to see each. */
  #showLink(what: 'loss' | 'return'): void {
    for (const [i, up] of this.#behaviour.linkAfter(what).entries()) {
      const show = () => this.#device?.setLink(up);
      if (i === 0) show();
      else setTimeout(() => this.soon(show), i * LINK_FLAP_MS);
    }
  }
}
