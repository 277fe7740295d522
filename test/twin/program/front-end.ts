import { closeFd, EventFd } from '../../../src/os/index.js';
import {
  bit,
  type Payload,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_BACKEND_REQ,
  VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
  VHOST_USER_PROTOCOL_F_LOG_SHMFD,
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_MTU,
  VHOST_USER_PROTOCOL_F_RARP,
  VHOST_USER_PROTOCOL_F_STATUS,
} from '../../../src/wire/index.js';
import type { Behaviour, InitStep, Moment, StartStep, StopStep } from './behaviour.js';
import { type Connection, ConnectionLost } from './connection.js';
import { DirtyLog } from './dirty-log.js';
import { acceptedProtocolFeatures, backendFeatures, has } from './features.js';
import { Messenger, NONE } from './messenger.js';
import type { NetBackend, NetDevice } from './net-device.js';
import type { Ram } from './ram.js';
import { RequestChannel } from './request-channel.js';
import { complain } from './stderr.js';

/** Status bits as vhost_user_add_status gathers them: FEATURES_OK alone, then with ACKNOWLEDGE, DRIVER, DRIVER_OK. */
const STATUS_FEATURES_OK = 8n;
const STATUS_STARTED = 7n;

/** Memory slots of a back-end that is not asked (VHOST_MEMORY_BASELINE_NREGIONS). */
const BASELINE_SLOTS = 8n;

/** VHOST_VRING_F_LOG. */
const VRING_LOG = 1;

const u64 = (value: bigint): Payload => ({ kind: 'u64', value });

export interface FrontEndOptions {
  ram: Ram;
  queuePairs: number;
  /** 0 = the device has none. */
  mtu: number;
  behaviour: Behaviour;
  /** What the messages of a connection are sent in; see Moment. */
  moment(): Omit<Moment, 'before'>;
}

/**
 * The vhost-user side of QEMU 10.0's network device: hw/virtio/vhost-user.c and hw/net/vhost_net.c in the order of their
 * messages. One object for all connections; what must outlive a lost connection stays here.
 */
export class FrontEnd implements NetBackend {
  /** Features that the back-end offers; of the last handshake. */
  offered = 0n;
  /** Features of the guest when the back-end left: the next one must offer them. */
  #needed = 0n;
  /** PROTOCOL_FEATURES, where the last back-end that was taken had it: the next one must offer it too. */
  #hadProtocol = 0n;
  /** Memory slots of the back-end: they may not become fewer. */
  #slots = 0n;
  /** The memory regions were added on this connection. */
  #added = false;
  /** The guest's use of each pair; told again on every start (vring_enable of NetClientState). */
  readonly #enabled: boolean[];
  /** Everything opened for one connection. */
  #fds: { close(): void }[] = [];
  /** Why nothing is migrated with the back-end that came last: it cannot log what it writes. */
  blocker: string | undefined;
  /** While memory is migrated. */
  #log: DirtyLog | undefined;
  readonly #to: Messenger;
  readonly #o: FrontEndOptions;

  constructor(options: FrontEndOptions) {
    this.#o = options;
    this.#to = new Messenger(options.behaviour, options.moment);
    this.#enabled = new Array(options.queuePairs).fill(false);
  }

  /** The handshake on a new connection. @throws ConnectionLost, the connection is closed then */
  async open(connection: Connection): Promise<void> {
    this.#to.attach(connection);
    this.#added = false;
    const first: InitStep[] = [
      'features',
      'protocol-features',
      'queue-num',
      'backend-channel',
      'owner',
      'features-again',
      'ring-fds',
    ];
    const other: InitStep[] = ['features', 'protocol-features', 'features-again', 'ring-fds'];
    for (let pair = 0; pair < this.#o.queuePairs; pair++) {
      const steps = this.#o.behaviour.initSteps(pair === 0 ? first : other, this.#o.moment().connection);
      for (const step of steps) await this.#init[step](pair);
    }
    const missing = (this.#needed | this.#hadProtocol) & ~this.offered;
    if (missing !== 0n) this.#insufficient(`vhost lacks feature mask 0x${missing.toString(16)} for backend`);
    this.#hadProtocol = this.offered & bit(VHOST_USER_F_PROTOCOL_FEATURES);
  }

  /** The back-end lacks something. @throws ConnectionLost */
  #insufficient(what: string): void {
    complain(what);
    if (!this.#o.behaviour.refusesInsufficient) return;
    this.#to.close();
    throw new ConnectionLost(what);
  }

  /** Shuts the connection down. */
  yank(): void {
    this.#to.close();
  }

  /** The connection is gone. `device` is undefined while QEMU starts. */
  lost(device: NetDevice | undefined): void {
    this.#to.close();
    if (device) this.#needed = backendFeatures(device.accepted);
    for (const fd of this.#fds.splice(0)) fd.close();
  }

  async enablePair(pair: number, enabled: boolean): Promise<void> {
    this.#enabled[pair] = enabled;
    if (this.#to.open) await this.#to.attempt(() => this.#sendEnable(pair, enabled));
  }

  async start(device: NetDevice): Promise<boolean> {
    const first: StartStep[] = ['enable', 'features', 'memory', 'rings', 'status'];
    const started = await this.#to.attempt(async () => {
      if (this.#o.mtu > 0 && this.#to.has(VHOST_USER_PROTOCOL_F_MTU))
        await this.#to.send('NET_SET_MTU', u64(BigInt(this.#o.mtu)), [], true);
      for (let pair = 0; pair < device.dataPairs; pair++) {
        const last = pair === device.dataPairs - 1;
        const steps = first.filter((step) => (step !== 'memory' || pair === 0) && (step !== 'status' || last));
        const changed = this.#o.behaviour.startSteps(steps, this.#o.moment().connection);
        for (const step of changed) await this.#start[step](pair, device);
      }
    });
    if (!started) {
      complain('unable to start vhost net: 5: falling back on userspace virtio');
      this.#releaseRings(device);
    }
    return started;
  }

  async stop(device: NetDevice): Promise<void> {
    for (let pair = 0; pair < device.dataPairs; pair++)
      for (const step of this.#o.behaviour.stopSteps(pair === device.dataPairs - 1 ? ['bases', 'status'] : ['bases']))
        await this.#stop[step](pair, device);
    this.#releaseRings(device);
  }

  /** From now on the back-end marks what it writes, and whoever comes after it (vhost_log_global_start). */
  async startLog(device: NetDevice): Promise<void> {
    this.#log?.close();
    this.#log = new DirtyLog(Number(this.#o.ram.size));
    await this.#setLog(device);
  }

  /** Not any more. */
  async stopLog(device: NetDevice): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    if (log) await this.#setLog(device);
    log?.close();
  }

  /** Numbers of the pages that back-ends have marked. */
  loggedPages(): number[] {
    return this.#log?.pages() ?? [];
  }

  /** vhost_migration_log, of a device that runs. */
  async #setLog(device: NetDevice): Promise<void> {
    if (!device.started) return;
    await this.#to.attempt(async () => {
      await this.#sendLog();
      for (let pair = 0; pair < device.dataPairs; pair++) {
        await this.#sendFeatures(device);
        for (const index of [2 * pair, 2 * pair + 1])
          if (device.queues[index]!.ready) await this.#sendAddresses(index, device);
      }
    });
  }

  async #sendLog(): Promise<void> {
    if (this.#log)
      await this.#to.exchange('SET_LOG_BASE', { kind: 'log', size: BigInt(this.#log.size), offset: 0n }, [
        this.#log.fd,
      ]);
  }

  async #sendFeatures(device: NetDevice): Promise<void> {
    const features = backendFeatures(device.accepted) | this.#hadProtocol | (this.#log ? bit(VHOST_F_LOG_ALL) : 0n);
    await this.#to.send('SET_FEATURES', u64(features), [], this.#log !== undefined);
    await this.#addStatus(STATUS_FEATURES_OK);
  }

  async #sendAddresses(index: number, device: NetDevice): Promise<void> {
    const { ram } = this.#o;
    const { desc, avail, used } = device.queues[index]!;
    const payload: Payload = {
      kind: 'vring-addr',
      index,
      flags: this.#log ? VRING_LOG : 0,
      descUserAddr: ram.userAddr(desc),
      usedUserAddr: ram.userAddr(used),
      availUserAddr: ram.userAddr(avail),
      logGuestAddr: used,
    };
    await this.#to.send('SET_VRING_ADDR', payload, [], this.#log !== undefined);
  }

  /** QMP announce-self for a guest that does not announce itself (vhost_user_migration_done). */
  async announce(device: NetDevice): Promise<void> {
    if (!this.#to.has(VHOST_USER_PROTOCOL_F_RARP)) return;
    const payload = Buffer.alloc(8);
    device.mac.copy(payload);
    await this.#to.attempt(() => this.#to.send('SEND_RARP', u64(payload.readBigUInt64LE())));
  }

  /** Resolves when the back-end has read all that was sent, or is gone. */
  taken(): Promise<void> {
    return this.#to.taken();
  }

  readonly #init: Record<InitStep, (pair: number) => Promise<void>> = {
    features: async () => {
      this.offered = await this.#to.ask('GET_FEATURES');
    },
    'protocol-features': async () => {
      if (!has(this.offered, VHOST_USER_F_PROTOCOL_FEATURES)) return;
      const offered = await this.#to.ask('GET_PROTOCOL_FEATURES');
      this.#to.protocolFeatures = this.#o.behaviour.acksProtocolFeatures(acceptedProtocolFeatures(offered));
      const logs = this.#to.has(VHOST_USER_PROTOCOL_F_LOG_SHMFD);
      this.blocker = logs ? undefined : 'Migration disabled: the back-end lacks VHOST_USER_PROTOCOL_F_LOG_SHMFD';
      await this.#to.send('SET_PROTOCOL_FEATURES', u64(this.#to.protocolFeatures));
    },
    'queue-num': async () => {
      const queues = this.#to.has(VHOST_USER_PROTOCOL_F_MQ) ? await this.#to.ask('GET_QUEUE_NUM') : 1n;
      if (queues < BigInt(this.#o.queuePairs))
        this.#insufficient(`you are asking more queues than supported: ${queues}`);
      const asked = this.#to.has(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
      const slots = asked ? await this.#to.ask('GET_MAX_MEM_SLOTS') : BASELINE_SLOTS;
      if (asked && slots < this.#slots)
        this.#insufficient(
          `The backend specified a max ram slots limit of ${slots}, the prior limit was ${this.#slots}`,
        );
      this.#slots = slots;
    },
    'backend-channel': async () => {
      if (!this.#to.has(VHOST_USER_PROTOCOL_F_BACKEND_REQ)) return;
      const channel = new RequestChannel(2 * this.#o.queuePairs + 1, this.#o.behaviour.answersRequest);
      this.#fds.push(channel);
      try {
        await this.#to.send('SET_BACKEND_REQ_FD', NONE, [channel.theirs], true);
      } finally {
        closeFd(channel.theirs);
      }
    },
    owner: async () => this.#to.send('SET_OWNER'),
    'features-again': async () => {
      this.offered = await this.#to.ask('GET_FEATURES');
    },
    'ring-fds': async (pair) => {
      for (const index of [2 * pair, 2 * pair + 1]) {
        for (const name of ['SET_VRING_CALL', 'SET_VRING_ERR'] as const) {
          const event = EventFd.create();
          this.#fds.push(event);
          await this.#to.send(name, { kind: 'vring-fd', index, noFd: false }, [event.fd]);
        }
      }
    },
  };

  readonly #start: Record<StartStep, (pair: number, device: NetDevice) => Promise<void>> = {
    enable: async (pair) => {
      if (this.#enabled[pair]) await this.#sendEnable(pair, true);
    },
    features: async (_pair, device) => {
      await this.#sendFeatures(device);
    },
    memory: async () => {
      const { regions, fd } = this.#o.ram;
      if (this.#to.has(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) return this.#addMemory();
      await this.#to.send(
        'SET_MEM_TABLE',
        { kind: 'memory', regions },
        regions.map(() => fd),
        true,
      );
    },
    rings: async (pair, device) => {
      for (const index of [2 * pair, 2 * pair + 1]) await this.#startRing(index, device);
      if (pair === 0) await this.#sendLog();
    },
    status: async () => this.#addStatus(STATUS_FEATURES_OK | STATUS_STARTED),
  };

  readonly #stop: Record<StopStep, (pair: number, device: NetDevice) => Promise<void>> = {
    bases: async (pair, device) => {
      for (const index of [2 * pair, 2 * pair + 1]) {
        const queue = device.queues[index]!;
        if (!queue.ready) continue;
        const base = await this.#base(index);
        if (base === undefined) queue.restore(this.#o.ram);
        else queue.base = base;
      }
    },
    status: async () => {
      if (this.#to.has(VHOST_USER_PROTOCOL_F_STATUS))
        await this.#to.attempt(() => this.#to.send('SET_STATUS', u64(0n)));
    },
  };

  /** Adds the regions one by one, once on a connection. */
  async #addMemory(): Promise<void> {
    const { regions, fd } = this.#o.ram;
    if (BigInt(regions.length) > this.#slots) throw new ConnectionLost('too few memory slots');
    if (this.#added) return;
    for (const region of regions) await this.#to.send('ADD_MEM_REG', { kind: 'memory-region', region }, [fd], true);
    this.#added = true;
  }

  async #startRing(index: number, device: NetDevice): Promise<void> {
    const { ram, moment, behaviour } = this.#o;
    const queue = device.queues[index]!;
    // A ring without addresses is left out (vhost_virtqueue_start).
    if (!queue.ready) return;
    if (queue.isTx && behaviour.mutes(moment().connection)) queue.mute(ram);
    const { size } = queue;
    await this.#to.send('SET_VRING_NUM', { kind: 'vring-state', index, num: size });
    await this.#to.send('SET_VRING_BASE', { kind: 'vring-state', index, num: queue.base });
    await this.#sendAddresses(index, device);
    queue.kick = EventFd.create();
    queue.call = EventFd.create();
    const { connection } = moment();
    queue.call.onSignal(() => {
      if (behaviour.heedsCall(connection)) device.interrupt();
    });
    await this.#to.send('SET_VRING_KICK', { kind: 'vring-fd', index, noFd: false }, [queue.kick.fd]);
    await this.#to.send('SET_VRING_CALL', { kind: 'vring-fd', index, noFd: false }, [queue.call.fd]);
  }

  #releaseRings(device: NetDevice): void {
    for (const queue of device.queues) {
      queue.kick?.close();
      queue.call?.close();
      queue.kick = undefined;
      queue.call = undefined;
    }
  }

  /** Asks for a ring's next available index. @returns undefined when the back-end is gone */
  async #base(index: number): Promise<number | undefined> {
    let base: number | undefined;
    await this.#to.attempt(async () => {
      const reply = await this.#to.exchange('GET_VRING_BASE', { kind: 'vring-state', index, num: 0 });
      if (reply?.kind === 'vring-state') base = reply.num;
    });
    if (base === undefined) complain(`vhost VQ ${index} ring restore failed: -22: Invalid argument (22)`);
    return base;
  }

  /** vhost_user_add_status: only what is missing is set. */
  async #addStatus(bits: bigint): Promise<void> {
    if (!this.#to.has(VHOST_USER_PROTOCOL_F_STATUS)) return;
    const status = await this.#to.ask('GET_STATUS');
    if ((status & bits) !== bits) await this.#to.send('SET_STATUS', u64(status | bits));
  }

  async #sendEnable(pair: number, enabled: boolean): Promise<void> {
    // Without protocol features a started ring is enabled.
    if (!has(this.offered, VHOST_USER_F_PROTOCOL_FEATURES)) return;
    for (const index of [2 * pair, 2 * pair + 1])
      await this.#to.send('SET_VRING_ENABLE', { kind: 'vring-state', index, num: enabled ? 1 : 0 });
  }
}
