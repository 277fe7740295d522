import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTwin } from '../index.js';

export interface TwinOptions {
  role: 'server' | 'client';
  queuePairs?: number;
  fault?: string;
  /** Seconds; client role. */
  reconnect?: number;
  /** Further options of the chardev. */
  chardev?: string;
  /** host_mtu of the device. */
  mtu?: number;
}

/** A client of one of the twin's line protocols. Answers come in order; other lines go to `aside`. */
class Lines {
  readonly #socket: Socket;
  readonly #waiting: { resolve(line: string): void; reject(error: Error): void }[] = [];
  readonly aside: string[] = [];

  constructor(socket: Socket, isAside: (line: string) => boolean) {
    this.#socket = socket;
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (isAside(line)) this.aside.push(line);
        else this.#waiting.shift()?.resolve(line);
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject } of this.#waiting) reject(new Error('the twin is gone'));
    });
  }

  /** Hangs up. */
  close(): void {
    this.#socket.destroy();
  }

  ask(line: string): Promise<string> {
    this.#socket.write(`${line}\n`);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

/** Greetings and events of a monitor. */
const isAside = (line: string): boolean => /^\{"(QMP|timestamp)"/.test(line);

/** A twin under test, started as the tester starts QEMU. */
export class RunningTwin {
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stderr = '';
  /** The monitor; resolves when the twin dialled, answers come once it is up. */
  readonly monitor: Promise<Lines>;
  readonly qtest: Promise<Lines>;
  readonly #servers: Server[];
  readonly #dir: string;

  private constructor(
    readonly process: ChildProcess,
    readonly socketPath: string,
    connections: { monitor: Promise<Socket>; qtest: Promise<Socket> },
    servers: Server[],
    dir: string,
  ) {
    this.#servers = servers;
    this.#dir = dir;
    process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = once(process, 'exit').then(([code, signal]) => ({ code, signal }));
    this.monitor = connections.monitor.then((socket) => new Lines(socket, isAside));
    this.qtest = connections.qtest.then((socket) => new Lines(socket, (line) => line.startsWith('IRQ')));
  }

  /** A private directory with the path that vhost-user shall use, so that a back-end can be there first. */
  static prepare(): { dir: string; socketPath: string } {
    const dir = mkdtempSync(join(tmpdir(), 'twin-'));
    return { dir, socketPath: join(dir, 'vhost.sock') };
  }

  static async start(
    { dir, socketPath }: { dir: string; socketPath: string },
    options: TwinOptions,
  ): Promise<RunningTwin> {
    const { role, queuePairs = 1, fault = '', reconnect = 1, mtu, chardev: more = '' } = options;
    const program = await buildTwin();
    const [qmpPath, qtestPath, monitorPath] = ['qmp', 'qtest', 'monitor'].map((name) => join(dir, `${name}.sock`));
    const servers = [createServer().listen(qmpPath), createServer().listen(qtestPath)];
    const [monitor, qtest] = servers.map((server) => once(server, 'connection').then(([socket]) => socket as Socket));
    const chardev = role === 'server' ? 'server=on,wait=off' : `reconnect=${reconnect}`;
    const child = spawn(
      program,
      [
        ...['-nodefaults', '-display', 'none', '-machine', 'microvm,ioapic2=off,memory-backend=mem', '-m', '64M'],
        ...['-object', 'memory-backend-memfd,id=mem,size=64M,share=on', '-accel', 'tcg,tb-size=1'],
        ...['-chardev', `socket,id=c0,path=${socketPath},${chardev}${more}`],
        ...['-netdev', `vhost-user,id=n0,chardev=c0${queuePairs > 1 ? `,queues=${queuePairs}` : ''}`],
        ...['-device', `virtio-net-device,netdev=n0${queuePairs > 1 ? ',mq=on' : ''}${mtu ? `,host_mtu=${mtu}` : ''}`],
        ...['-qmp', `unix:${qmpPath},server=off`, '-qtest', `unix:${qtestPath},server=off`, '-qtest-log', 'none'],
        ...['-qmp', `unix:${monitorPath},server=on,wait=off`],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TWIN_FAULT: fault } },
    );
    return new RunningTwin(child, socketPath, { monitor: monitor!, qtest: qtest! }, servers, dir);
  }

  /** Executes a monitor command. @returns its `return` @throws Error with the monitor's description */
  async qmp<T = unknown>(execute: string, args?: object): Promise<T> {
    const line = await (await this.monitor).ask(JSON.stringify({ execute, arguments: args }));
    const answer = JSON.parse(line) as { return?: T; error?: { desc: string } };
    if (answer.error) throw new Error(answer.error.desc);
    return answer.return as T;
  }

  /** A client of the second monitor, connected. */
  async secondMonitor(): Promise<Lines> {
    const socket = createConnection(join(this.#dir, 'monitor.sock'));
    await once(socket, 'connect');
    return new Lines(socket, isAside);
  }

  /** Ends the twin if it still runs, and everything around it. */
  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await this.exited;
    }
    for (const server of this.#servers) server.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
