import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import {
  type GuestFact,
  type GuestNetwork,
  guestAppend,
  guestFiles,
  guestInitramfs,
  recordGuest,
} from '../../src/guest/index.js';
import { FrameTraffic, Peer } from '../../src/peer/index.js';
import {
  type CommandLineOptions,
  commandLine,
  findQemu,
  launch,
  type MachineType,
  type Pluggable,
  plugCommand,
  probe,
} from '../../src/qemu/index.js';
import { completeChecksum, Switch } from '../../src/switch/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { scratch } from '../qemu/support.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/install-guest.sh', import.meta.url));

/** What scripts/install-guest.sh prints. */
export const guestFolder = (): string => execFileSync('sh', [SCRIPT], { encoding: 'utf8' }).trim();

/** A guest is slow on a busy machine; nothing here takes a tenth of it on a quiet one. */
export const DEADLINE_MS = 120_000;

type Kind = GuestFact['kind'];
type FactOf<K extends Kind> = Extract<GuestFact, { kind: K }>;

/** What a guest's console tells, kept, and to be waited for. */
export class Facts {
  readonly all: GuestFact[] = [];
  readonly #waiting = new Set<() => void>();

  add(fact: GuestFact): void {
    this.all.push(fact);
    for (const look of this.#waiting) look();
  }

  of<K extends Kind>(kind: K): FactOf<K>[] {
    return this.all.filter((fact): fact is FactOf<K> => fact.kind === kind);
  }

  /** The first fact of a kind after `from` others of any kind, for which `test` holds. */
  async next<K extends Kind>(kind: K, test: (fact: FactOf<K>) => boolean = () => true, from = 0): Promise<FactOf<K>> {
    const find = () =>
      this.all.slice(from).find((fact): fact is FactOf<K> => fact.kind === kind && test(fact as FactOf<K>));
    return new Promise((resolve, reject) => {
      const look = () => {
        const fact = find();
        if (!fact) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(fact);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(
          new Error(
            `no ${kind} within ${DEADLINE_MS} ms after:\n${this.all.map((one) => JSON.stringify(one)).join('\n')}`,
          ),
        );
      }, DEADLINE_MS);
      this.#waiting.add(look);
      look();
    });
  }
}

/** A real QEMU with a real guest, whose peer has a switch with a host that can be pinged. All of it ends with the test. */
export async function bootGuest(machine: MachineType, network: GuestNetwork = {}) {
  const cwd = await scratch();
  const [qmpPath, consolePath, socketPath] = [join(cwd, 'qmp'), join(cwd, 'console'), join(cwd, 'vhost')];
  const files = guestFiles(guestFolder());
  const initrd = join(cwd, 'initrd');
  await writeFile(initrd, await guestInitramfs(files));
  const facts = await probe(await findQemu());
  const options: CommandLineOptions = {
    facts,
    role: 'server',
    machine,
    // The same everywhere.
    accel: 'tcg',
    queuePairs: 1,
    ring: 'split',
    memory: 128 << 20,
    reconnectMs: 1000,
    socketPath,
    qmpPath,
    guest: { kernel: files.kernel, initrd, append: guestAppend(network), consolePath },
    ...(machine === 'pc' ? { extras: ['removable'] } : {}),
  };
  const recorder = new Recorder();
  const traffic = new FrameTraffic(({ bytes, checksum }) => {
    if (checksum) completeChecksum(bytes, checksum.start, checksum.offset);
    port.receive(bytes);
  });
  const peer = new Peer({ role: 'server', path: socketPath, recorder }, traffic);
  const port = new Switch({ now: () => recorder.now(), note: () => {} }).connect('guest', (frame) => {
    traffic.send(frame);
    peer.pumpRx();
  });
  onTestFinished(() => peer.close());
  const arrived = peer.arrive({}, true);
  const qemu = await launch({ path: facts.path, argv: commandLine(options), cwd, qmpPath, consolePath, recorder });
  onTestFinished(() => qemu.dispose());
  const told = new Facts();
  void recordGuest(await qemu.console, recorder, (fact) => told.add(fact));
  await arrived;
  return { qemu, peer, told, recorder, plug: (what: Pluggable) => plugCommand(what, options) };
}
