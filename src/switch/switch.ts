import { isGroupMac, macText } from './address.js';
import { type EthernetFrame, parseEthernet } from './ethernet.js';
import { Host, type HostOptions } from './host.js';
import { MacTable } from './mac-table.js';
import type { DropReason, SwitchNotice } from './notice.js';

export interface SwitchOptions {
  /** A clock in ms that never goes back. */
  now: () => number;
  note: (notice: SwitchNotice) => void;
  /** The switch's own station. */
  host?: HostOptions;
  /** The host lends guests addresses of its network, .100 to .199, for an hour, by DHCP; by default it does not. */
  dhcp?: boolean;
}

/**
 * Frames and bytes since the port was connected. Received is what the guest sent; `flooded` of them went to all other ports;
 * `dropped` went nowhere, or were not taken by the host.
 */
export interface PortCounters {
  received: number;
  receivedBytes: number;
  sent: number;
  sentBytes: number;
  flooded: number;
  dropped: Partial<Record<DropReason, number>>;
}

/** Where a guest is connected. */
export interface SwitchPort {
  readonly name: string;
  readonly counters: Readonly<PortCounters>;
  /**
   * A frame from the guest, without a virtio header. Whatever its bytes are, this does not throw. Who it is for gets the same
   * buffer before this returns; the switch keeps none of it.
   */
  receive(frame: Buffer): void;
  /** Forgets the stations behind it. What comes from the guest, or for it, is ignored from then on. */
  disconnect(): void;
}

/** The bridge group addresses 01:80:c2:00:00:00 to 0f, without their last 4 bits. */
const RESERVED = 0x0180c200000;

/**
 * A learning switch among its ports and a host of its own, pure over bytes: it has no socket and no timer. Frames with a VLAN
 * tag are switched by their MACs as those without; the host answers them with the same tags.
 */
export class Switch {
  readonly #options: SwitchOptions;
  readonly #host: Host;
  readonly #ports = new Set<Port>();
  readonly #stations = new MacTable<Port>();

  /** @throws RangeError on an address of the host that is none, or a network without room for the pool of `dhcp` */
  constructor(options: SwitchOptions) {
    this.#options = options;
    this.#host = new Host(options);
  }

  /** Addresses of the host as texts; of `ipv6` the link-local one is first. */
  get host(): Readonly<Host['addresses']> {
    return this.#host.addresses;
  }

  /**
   * Connects a guest. `deliver` gets the frames for it, without a virtio header; it must not change them, as others get the same
   * buffer, and must not throw.
   * @throws RangeError when a port of that name is connected
   */
  connect(name: string, deliver: (frame: Buffer) => void): SwitchPort {
    for (const port of this.#ports)
      if (port.name === name) throw new RangeError(`port "${name}" is connected, expected a name of its own`);
    const port: Port = new Port(name, {
      deliver,
      receive: (frame) => this.#receive(port, frame),
      disconnect: () => {
        this.#ports.delete(port);
        this.#stations.forget(port);
      },
    });
    this.#ports.add(port);
    return port;
  }

  #receive(port: Port, bytes: Buffer): void {
    if (!this.#ports.has(port)) return;
    port.count('received', bytes);
    const reason = this.#switch(port, bytes);
    if (reason) port.drop(reason);
  }

  #switch(port: Port, bytes: Buffer): DropReason | undefined {
    const frame = parseEthernet(bytes);
    if (!frame) return 'runt';
    const { source, destination } = frame;
    if (isGroupMac(source)) return 'multicast-source';
    if (source.equals(this.#host.mac)) return 'host-source';
    this.#learn(port, source);
    if (Math.floor(macNumber(destination) / 16) === RESERVED) return 'reserved';
    const isForHost = destination.equals(this.#host.mac);
    const reason = isForHost ? undefined : this.#forward(bytes, port);
    return isForHost || isGroupMac(destination) ? this.#ask(port, frame) : reason;
  }

  #learn(port: Port, mac: Buffer): void {
    const before = this.#stations.learn(macNumber(mac), port, this.#options.now());
    if (before === port) return;
    const from = before && { from: before.name };
    this.#options.note({ kind: 'learned', port: port.name, mac: macText(mac), ...from });
  }

  /** To where its receiver is, or to all; never back to where it comes from. Without `from` it is the host's. */
  #forward(frame: Buffer, from?: Port): DropReason | undefined {
    const known = this.#stations.find(macNumber(frame), this.#options.now());
    if (known && known === from) return 'same-port';
    if (known) {
      known.send(frame);
      return undefined;
    }
    if (from) from.counters.flooded++;
    for (const port of this.#ports) if (port !== from) port.send(frame);
    return undefined;
  }

  /** Gives the host a frame. What it says nothing to was only in vain when it was for the host alone. */
  #ask(port: Port, frame: EthernetFrame): DropReason | undefined {
    const answer = this.#host.take(frame);
    if (answer === 'done') return undefined;
    if (typeof answer === 'string') return answer;
    if (!answer) return isGroupMac(frame.destination) ? undefined : 'unserved';
    if (answer.notice) this.#options.note({ ...answer.notice, port: port.name });
    this.#forward(answer.frame);
    return undefined;
  }
}

class Port implements SwitchPort {
  readonly counters: PortCounters = {
    received: 0,
    receivedBytes: 0,
    sent: 0,
    sentBytes: 0,
    flooded: 0,
    dropped: {},
  };
  readonly receive: (frame: Buffer) => void;
  readonly disconnect: () => void;
  readonly #deliver: (frame: Buffer) => void;

  constructor(
    readonly name: string,
    ways: { deliver: (frame: Buffer) => void; receive: (frame: Buffer) => void; disconnect: () => void },
  ) {
    this.receive = ways.receive;
    this.disconnect = ways.disconnect;
    this.#deliver = ways.deliver;
  }

  send(frame: Buffer): void {
    this.count('sent', frame);
    this.#deliver(frame);
  }

  count(way: 'received' | 'sent', frame: Buffer): void {
    this.counters[way]++;
    this.counters[`${way}Bytes`] += frame.length;
  }

  drop(reason: DropReason): void {
    this.counters.dropped[reason] = (this.counters.dropped[reason] ?? 0) + 1;
  }
}

/** The first 6 bytes: the table's key. */
const macNumber = (bytes: Buffer): number => bytes.readUIntBE(0, 6);
