import type { DeviceQueue } from '../../src/virtio/index.js';
import { virtioNetHeader } from '../../src/virtio/index.js';

const ETHERNET = 14;
const ARP = 0x0806;
const IPV4 = 0x0800;
const ICMP = 1;
const ECHO_REQUEST = 8;
/** With VERSION_1, which these guests always negotiate. */
const HEADER = 12;
const MAC = Buffer.from([0x02, 0x76, 0x72, 0, 0, 1]);

/** What of a ring it takes to answer on it. */
export interface Ring {
  readonly dir: 'rx' | 'tx';
  readonly queue: DeviceQueue | undefined;
}

/** A gateway of one address on the rings of a guest: it answers ARP and pings, and nothing else. */
export class Answerer {
  readonly #address: Buffer;
  readonly #answers: Buffer[] = [];
  /** Called when there is something for the guest. */
  onAnswer = () => {};

  constructor(address = '10.73.0.1') {
    this.#address = Buffer.from(address.split('.').map(Number));
  }

  /** Moves frames on a running ring. @returns true when the driver wants to be interrupted */
  readonly pump = (ring: Ring): boolean => (ring.dir === 'tx' ? this.#take(ring.queue!) : this.#give(ring.queue!));

  #take(queue: DeviceQueue): boolean {
    for (;;) {
      const chain = queue.pop();
      if (!chain) {
        if (queue.enableNotify()) break;
        continue;
      }
      const answer = this.#answerTo(queue.readOut(chain).subarray(HEADER));
      if (answer) this.#answers.push(answer);
      queue.push(chain, 0);
    }
    queue.publish();
    if (this.#answers.length > 0) this.onAnswer();
    return queue.needsCall();
  }

  #give(queue: DeviceQueue): boolean {
    while (this.#answers.length > 0) {
      const chain = queue.pop();
      if (!chain) {
        if (queue.enableNotify()) break;
        continue;
      }
      queue.push(chain, queue.writeIn(chain, Buffer.concat([virtioNetHeader(HEADER, 1), this.#answers.shift()!])));
    }
    queue.publish();
    return queue.needsCall();
  }

  #answerTo(frame: Buffer): Buffer | undefined {
    const type = frame.length < ETHERNET ? undefined : frame.readUInt16BE(12);
    const body =
      type === ARP
        ? this.#arp(frame.subarray(ETHERNET))
        : type === IPV4
          ? this.#ping(frame.subarray(ETHERNET))
          : undefined;
    return body && Buffer.concat([frame.subarray(6, 12), MAC, frame.subarray(12, ETHERNET), body]);
  }

  /** RFC 826: hardware and protocol, operation, then the sender's and the target's pair of addresses. */
  #arp(request: Buffer): Buffer | undefined {
    if (request.length < 28 || request.readUInt16BE(6) !== 1 || !request.subarray(24, 28).equals(this.#address)) return;
    const operation = Buffer.from([0, 2]);
    return Buffer.concat([request.subarray(0, 6), operation, MAC, this.#address, request.subarray(8, 18)]);
  }

  /** RFC 792: the same back, as a reply; its checksum grows by what the type shrank. */
  #ping(packet: Buffer): Buffer | undefined {
    const at = (packet[0]! & 0xf) * 4;
    if (packet[9] !== ICMP || packet[at] !== ECHO_REQUEST || !packet.subarray(16, 20).equals(this.#address)) return;
    const reply = Buffer.from(packet);
    reply.set(packet.subarray(16, 20), 12);
    reply.set(packet.subarray(12, 16), 16);
    reply[at] = 0;
    const sum = packet.readUInt16BE(at + 2) + (ECHO_REQUEST << 8);
    reply.writeUInt16BE(sum > 0xffff ? sum - 0xffff : sum, at + 2);
    return reply;
  }
}
