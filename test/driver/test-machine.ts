import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineName } from '../../src/driver/index.js';
import { QtestClient } from '../../src/qemu/qtest.js';

const MEMORY = 64 * 1024 * 1024;

/** A real QEMU with one virtio-net device, whose network is a stream of length-prefixed frames to this process. */
export class TestMachine {
  readonly memory = MEMORY;
  /** Frames the guest transmitted. */
  readonly transmitted: Buffer[] = [];
  #unparsed = Buffer.alloc(0);

  private constructor(
    readonly bus: QtestClient,
    readonly process: ChildProcess,
    private readonly network: Socket,
    private readonly monitor: Socket,
    private readonly dir: string,
    private readonly servers: Server[],
  ) {
    network.on('data', (data) => this.#receive(data));
    network.on('error', () => {});
    monitor.on('error', () => {});
    monitor.resume();
    monitor.write('{"execute":"qmp_capabilities"}\n');
  }

  static async start(
    machine: MachineName,
    deviceOptions = '',
    machineOptions = machine === 'microvm' ? ',ioapic2=off' : '',
  ): Promise<TestMachine> {
    const dir = await mkdtemp(join(tmpdir(), 'driver-'));
    const bios = Buffer.alloc(0x10000, 0xf4);
    // The reset vector: cli; hlt; jmp back to hlt.
    bios.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0);
    await writeFile(join(dir, 'bios'), bios);
    const dialled = async (name: string) => {
      const server = createServer().listen(join(dir, name));
      await once(server, 'listening');
      return { server, socket: once(server, 'connection').then(([socket]) => socket as Socket) };
    };
    const [net, qmp, qtest] = await Promise.all(['net', 'qmp', 'qtest'].map(dialled));
    const device =
      machine === 'microvm' ? 'virtio-net-device,netdev=n0' : 'virtio-net-pci,netdev=n0,disable-legacy=on,addr=4';
    const argv = ['-accel', 'tcg,tb-size=1', '-bios', join(dir, 'bios')];
    argv.push('-machine', `${machine},memory-backend=mem${machineOptions}`);
    argv.push('-object', `memory-backend-memfd,id=mem,size=${MEMORY},share=on`, '-m', '64M');
    argv.push('-nodefaults', '-display', 'none', '-global', 'virtio-mmio.force-legacy=false');
    argv.push('-netdev', `stream,id=n0,server=off,addr.type=unix,addr.path=${join(dir, 'net')}`);
    argv.push('-device', device + deviceOptions);
    argv.push('-qmp', `unix:${join(dir, 'qmp')},server=off`);
    argv.push('-qtest', `unix:${join(dir, 'qtest')},server=off`, '-qtest-log', '/dev/null');
    const child = spawn('qemu-system-x86_64', argv, { stdio: ['ignore', 'ignore', 'inherit'] });
    const [network, monitor, bus] = await Promise.all([net!.socket, qmp!.socket, qtest!.socket]);
    const servers = [net!.server, qmp!.server, qtest!.server];
    return new TestMachine(new QtestClient(bus), child, network, monitor, dir, servers);
  }

  /** Delivers frames to the guest. */
  deliver(...frames: Buffer[]): void {
    this.network.write(
      Buffer.concat(
        frames.flatMap((frame) => {
          const length = Buffer.alloc(4);
          length.writeUInt32BE(frame.length);
          return [length, frame];
        }),
      ),
    );
  }

  /** Executes a QMP command; its answer does not matter here. */
  readonly qmp = (execute: string, args: object = {}): void => {
    this.monitor.write(`${JSON.stringify({ execute, arguments: args })}\n`);
  };

  /** Does `cause`, then waits for the QMP event. */
  async event(name: string, cause: () => void): Promise<void> {
    cause();
    for (let text = ''; !text.includes(`"event": "${name}"`); ) text += (await once(this.monitor, 'data'))[0];
  }

  async stop(): Promise<void> {
    this.bus.close();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await once(this.process, 'exit');
    }
    this.network.destroy();
    this.monitor.destroy();
    for (const server of this.servers) server.close();
    await rm(this.dir, { recursive: true });
  }

  #receive(data: Buffer): void {
    this.#unparsed = Buffer.concat([this.#unparsed, data]);
    while (this.#unparsed.length >= 4 && this.#unparsed.length >= 4 + this.#unparsed.readUInt32BE()) {
      const end = 4 + this.#unparsed.readUInt32BE();
      this.transmitted.push(this.#unparsed.subarray(4, end));
      this.#unparsed = this.#unparsed.subarray(end);
    }
  }
}
