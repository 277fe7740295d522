import type { Hex, Json, Role } from '../../src/timeline/index.js';
import { bit, FLAG_NEED_REPLY, FLAG_REPLY, type FrontEndName, specByName, VERSION } from '../../src/wire/index.js';
import { command, deleted } from './removal-story.js';
import { Tape } from './timeline-builder.js';

/** What a prefab can be asked for. */
export interface Setting {
  driver: 'none' | 'linux';
  pairs: number;
  version: string;
  reconnectMs: number;
  /** One loss each: how long the peer stays away. */
  away: number[];
  memory: number;
  /** After the losses device and netdev are removed, and added again 1.6 s later. */
  removal?: boolean;
}

export const PID = 4242;
export const INODE = 77;
export const SOCKET = '/run/vhost-user.sock';
const USER_BASE = 0x7f0000000000n;

const mask = (...bits: number[]): bigint => bits.reduce((all, n) => all | bit(n), 0n);
export const hex = (value: bigint): Hex => `0x${value.toString(16)}`;

/** CSUM, GUEST_CSUM, MAC, MRG_RXBUF, STATUS, CTRL_VQ, MQ, INDIRECT_DESC, EVENT_IDX, VERSION_1. */
export const ACCEPTED = mask(0, 1, 5, 15, 16, 17, 22, 28, 29, 32);
/** Of these, what QEMU passes on, and PROTOCOL_FEATURES. */
export const FORWARDED = mask(0, 1, 15, 22, 28, 29, 30, 32);
/** What OVS 3.1 offers. */
const OFFERED = 0xd7c66a7can | bit(0);
const PROTOCOL_OFFERED = 0x10cbfn;

/** Where the guest has a ring. */
export const ringAt = (index: number) => {
  const desc = 0x200000n + BigInt(index) * 0x10000n;
  return { index, size: 256, desc: hex(desc), avail: hex(desc + 0x1000n), used: hex(desc + 0x2000n) };
};

/** A QEMU and its peer, acting out a script onto a tape: what QEMU 7.2 and a peer like OVS 3.1 do. */
export class Exchange {
  readonly tape = new Tape();
  readonly used = new Map<number, number>();
  session = 0;
  index = 0;
  burst = 0;
  packets = 0;

  constructor(
    readonly role: Role,
    readonly o: Setting,
  ) {}

  get rings(): number[] {
    return Array.from({ length: 2 * this.o.pairs }, (_, index) => index);
  }

  recv(name: FrontEndName, body: Json = {}, { fds = 0, needReply = false } = {}): this {
    const { session } = this;
    const request = specByName(name).id;
    const flags = VERSION | (needReply ? FLAG_NEED_REPLY : 0);
    this.tape.add({ type: 'wire.recv', session, index: this.index++, request, name, flags, size: 8, body, fds });
    return needReply ? this.reply(name, { value: '0x0' }) : this;
  }

  reply(name: FrontEndName, body: Json): this {
    const request = specByName(name).id;
    const flags = VERSION | FLAG_REPLY;
    this.tape.add({
      type: 'wire.send',
      session: this.session,
      channel: 'reply',
      request,
      name,
      flags,
      size: 8,
      body,
      fds: 0,
    });
    return this;
  }

  ask(name: FrontEndName, answer: bigint): this {
    return this.recv(name).reply(name, { value: hex(answer) });
  }

  handshake(): this {
    for (let pair = 0; pair < this.o.pairs; pair++) {
      this.ask('GET_FEATURES', OFFERED).ask('GET_PROTOCOL_FEATURES', PROTOCOL_OFFERED);
      this.recv('SET_PROTOCOL_FEATURES', { value: hex(PROTOCOL_OFFERED) });
      if (pair === 0) {
        this.ask('GET_QUEUE_NUM', 128n);
        this.recv('SET_BACKEND_REQ_FD', {}, { fds: 1, needReply: true }).recv('SET_OWNER');
      }
      this.ask('GET_FEATURES', OFFERED);
      for (const index of [2 * pair, 2 * pair + 1])
        this.recv('SET_VRING_CALL', { index, noFd: false }, { fds: 1 }).recv(
          'SET_VRING_ERR',
          { index, noFd: false },
          { fds: 1 },
        );
    }
    return this;
  }

  /** @param pairs that are in use */
  enable(pairs = this.o.pairs): this {
    for (const index of this.rings) {
      const enabled = index < 2 * pairs;
      this.recv('SET_VRING_ENABLE', { index, num: enabled ? 1 : 0 });
      if (enabled) this.tape.add({ type: 'ring.enable', session: this.session, ring: index, enabled });
    }
    return this;
  }

  startRings(): this {
    const regions = [
      [0n, 0xa0000n],
      [0x100000n, BigInt(this.o.memory) - 0x100000n],
    ].map(([start, size]) => ({
      guestAddr: hex(start!),
      size: hex(size!),
      userAddr: hex(USER_BASE + start!),
      mmapOffset: hex(start!),
    }));
    this.enable();
    for (let pair = 0; pair < this.o.pairs; pair++) {
      this.recv('SET_FEATURES', { value: hex(FORWARDED) });
      if (pair === 0) {
        this.ask('GET_STATUS', 0n).recv('SET_STATUS', { value: '0x8' });
        this.recv('SET_MEM_TABLE', { regions }, { fds: 2, needReply: true });
      }
      for (const ring of [2 * pair, 2 * pair + 1]) this.startRing(ring);
    }
    this.recv('SET_STATUS', { value: '0xf' });
    return this;
  }

  startRing(index: number): this {
    const base = this.used.get(index) ?? 0;
    const at = ringAt(index);
    const user = (address: Hex) => hex(USER_BASE + BigInt(address));
    this.recv('SET_VRING_NUM', { index, num: at.size }).recv('SET_VRING_BASE', { index, num: base });
    this.recv('SET_VRING_ADDR', {
      index,
      flags: 0,
      desc: user(at.desc),
      used: user(at.used),
      avail: user(at.avail),
      log: '0x0',
    });
    this.recv('SET_VRING_KICK', { index, noFd: false }, { fds: 1 });
    this.tape.add({
      type: 'ring.start',
      session: this.session,
      ring: index,
      size: at.size,
      base,
      usedIdx: base,
      availIdx: base,
      usedFlags: 0,
      enabled: true,
    });
    return this.recv('SET_VRING_CALL', { index, noFd: false }, { fds: 1 });
  }

  stopRings(orderly: boolean): this {
    for (const index of this.rings) {
      const base = this.used.get(index) ?? 0;
      if (orderly) this.recv('GET_VRING_BASE', { index });
      this.tape.add({ type: 'ring.stop', session: this.session, ring: index, base });
      if (orderly) this.reply('GET_VRING_BASE', { index, num: base });
    }
    return this;
  }

  startDriver(): this {
    const { tape } = this;
    tape.add({ type: 'driver.reset' }).wait(2);
    tape.add({ type: 'driver.features', offered: hex(OFFERED), accepted: hex(ACCEPTED) });
    this.startRings();
    tape.add({ type: 'driver.ready', pairs: this.o.pairs, rings: this.rings.map(ringAt) });
    tape.add({ type: 'driver.link', up: true });
    return this;
  }

  /** A burst of 64 packets per pair and direction that flows. */
  traffic(): this {
    const { tape, session } = this;
    const burst = this.burst++;
    const seqs: [number, number][] = [[this.packets, this.packets + 63]];
    this.packets += 64;
    tape.add({ type: 'traffic.begin', burst, packets: 64, pairs: this.o.pairs });
    for (let pair = 0; pair < this.o.pairs; pair++) {
      const [rx, tx] = [2 * pair, 2 * pair + 1];
      tape.add({ type: 'packets.sent', dir: 'rx', pair, seqs, session }).add({ type: 'ring.call', session, ring: rx });
      tape.add({ type: 'packets.sent', dir: 'tx', pair, seqs }).add({ type: 'driver.kick', ring: tx });
      tape.add({ type: 'ring.kick', session, ring: tx, count: 1 });
      tape
        .add({ type: 'packets.seen', dir: 'tx', pair, seqs, corrupt: 0, session })
        .add({ type: 'ring.call', session, ring: tx });
      tape.add({ type: 'driver.interrupt', isr: 1 });
      tape.add({ type: 'packets.completed', dir: 'tx', pair, seqs });
      tape.add({ type: 'packets.seen', dir: 'rx', pair, seqs, corrupt: 0 });
      for (const ring of [rx, tx]) this.used.set(ring, (this.used.get(ring) ?? 0) + 64);
    }
    tape.add({ type: 'traffic.end', burst, outcome: 'flowed', missing: [] });
    return this;
  }

  open(): this {
    this.index = 0;
    const session = ++this.session;
    if (this.role === 'server') this.tape.add({ type: 'peer.dial', path: SOCKET, session });
    this.tape.add({ type: 'session.open', session, by: this.role === 'server' ? 'dial' : 'accept', pid: PID });
    return this;
  }

  /** The peer leaves, QEMU takes note. A client's peer is back on its path before QEMU's timer fires. */
  lose(away: number): this {
    const { tape, session, o } = this;
    if (o.driver === 'linux') this.stopRings(false);
    if (this.role === 'client') tape.add({ type: 'peer.unlisten', path: SOCKET, removed: false });
    tape.add({ type: 'session.close', session, by: 'peer', how: 'close' }).wait(2);
    if (o.driver === 'linux') tape.add({ type: 'driver.interrupt', isr: 2 }).add({ type: 'driver.link', up: false });
    tape.add({ type: 'chardev.state', connected: false, means: 'qom' }).wait(away - 3);
    if (this.role === 'client') {
      tape.add({ type: 'peer.listen', path: SOCKET });
      const ticks = Math.ceil(away / o.reconnectMs);
      tape.wait(ticks * o.reconnectMs - away + 5);
    }
    this.open().handshake();
    if (o.driver === 'linux') {
      this.startRings();
      tape.add({ type: 'driver.interrupt', isr: 2 }).add({ type: 'driver.link', up: true });
    }
    tape.add({ type: 'chardev.state', connected: true, means: 'qom' });
    return this;
  }

  /** QEMU loses its netdev and gets another, whose peer waits for it. */
  replaceNetdev(): this {
    const { tape, session } = this;
    const served = this.role === 'server';
    if (this.o.driver === 'linux') {
      tape.add({ type: 'driver.reset' });
      this.stopRings(true).recv('SET_STATUS', { value: '0x0' });
      this.used.clear();
    }
    for (const event of deleted(tape.now)) tape.add(event);
    const [del, gone] = command(tape.now, 1, 'netdev_del', 'n0');
    tape.add(del!).add({ type: 'session.close', session, by: 'front-end', how: 'eof' }).wait(1).add(gone!);
    if (served) tape.add({ type: 'socket.path' });
    tape.add({ type: 'chardev.state', connected: false, means: 'qom' }).wait(1600);
    const [add, added] = command(tape.now, 2, 'chardev-add', 'c0');
    tape.add(add!).wait(1).add(added!);
    if (served) tape.add({ type: 'socket.path', inode: INODE + 1 });
    const [plug, plugged] = command(tape.now, 3, 'netdev_add', 'n0');
    tape.add(plug!).wait(100);
    this.open().handshake();
    tape.wait(1).add(plugged!).add({ type: 'chardev.state', connected: true, means: 'qom' });
    this.enable(1);
    return this.o.driver === 'linux' ? this.startDriver() : this;
  }

  quit(): this {
    const { tape, session } = this;
    tape.add({ type: 'qmp.command', id: 9, execute: 'quit' }).wait(1);
    if (this.o.driver === 'linux') this.stopRings(true);
    tape.add({ type: 'session.close', session, by: 'front-end', how: 'eof' }).wait(2);
    tape.add({ type: 'qemu.exit', code: 0, signal: null, asked: 'quit' }).add({ type: 'run.end' });
    return this;
  }

  /** Heartbeats every 100 ms from `from` to now. */
  heartbeats(from: number): this {
    const end = this.tape.now;
    for (let sent = from; sent < end; sent += 100)
      this.tape.events.push({ type: 'qmp.heartbeat', t: sent + 0.4, sent, latency: 0.4, status: 'running' });
    return this;
  }
}
