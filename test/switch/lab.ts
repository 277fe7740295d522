import { type HostOptions, Switch, type SwitchNotice, type SwitchPort } from '../../src/switch/index.js';

/** Bytes from rows of hex, in which spaces only help to read. */
export const bytes = (...rows: string[]): Buffer => {
  const hex = rows.join('').replaceAll(' ', '');
  const buffer = Buffer.from(hex, 'hex');
  if (buffer.length * 2 !== hex.length) throw new Error(`no hex: ${hex}`);
  return buffer;
};

/** As Ethernet pads a frame. */
export const padded = (frame: Buffer): Buffer => Buffer.concat([frame, Buffer.alloc(Math.max(0, 60 - frame.length))]);

/** A guest at a port: what it has been sent. */
export interface Guest {
  port: SwitchPort;
  inbox: Buffer[];
}

/** A switch whose clock is set by hand, with what it has noted. */
export class Lab {
  clock = 1000;
  readonly notices: SwitchNotice[] = [];
  readonly switch: Switch;

  constructor(options: { host?: HostOptions; dhcp?: boolean } = {}) {
    this.switch = new Switch({ now: () => this.clock, note: (notice) => this.notices.push(notice), ...options });
  }

  guest(name: string): Guest {
    const inbox: Buffer[] = [];
    return { port: this.switch.connect(name, (frame) => inbox.push(frame)), inbox };
  }

  /** Notices but those of what was learned, which come with any first frame. */
  get news(): SwitchNotice[] {
    return this.notices.filter(({ kind }) => kind !== 'learned');
  }
}

/** The checksum over whole bytes, as RFC 1071 words it: carries are added at once. 0 when the bytes hold their right one. */
function internetChecksum(data: Buffer): number {
  const even = data.length % 2 ? Buffer.concat([data, Buffer.alloc(1)]) : data;
  let sum = 0;
  for (let i = 0; i < even.length; i += 2) {
    sum += even.readUInt16BE(i);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum ^ 0xffff;
}

/** What is wrong with the lengths and checksums of an untagged or tagged frame of ARP, ICMP, UDP or ICMPv6: a list of words. */
export function wrongWith(frame: Buffer): string[] {
  let at = 12;
  while ([0x8100, 0x88a8, 0x9100].includes(frame.readUInt16BE(at))) at += 4;
  const packet = frame.subarray(at + 2);
  const type = frame.readUInt16BE(at);
  if (type === 0x0806) return packet.length < 28 ? ['ARP length'] : [];
  if (type === 0x0800) {
    const wrong: string[] = [];
    if (internetChecksum(packet.subarray(0, 20)) !== 0) wrong.push('IPv4 checksum');
    const payload = packet.subarray(20, packet.readUInt16BE(2));
    if (packet[9] === 1 && internetChecksum(payload) !== 0) wrong.push('ICMP checksum');
    if (packet[9] === 17) {
      const pseudo = Buffer.concat([packet.subarray(12, 20), Buffer.of(0, 17), payload.subarray(4, 6)]);
      if (payload.readUInt16BE(4) !== payload.length) wrong.push('UDP length');
      if (payload.readUInt16BE(6) === 0 || internetChecksum(Buffer.concat([pseudo, payload])) !== 0)
        wrong.push('UDP checksum');
    }
    return packet[0] === 0x45 ? wrong : [...wrong, 'IPv4 header'];
  }
  if (type !== 0x86dd) return [`EtherType ${type}`];
  const payload = packet.subarray(40, 40 + packet.readUInt16BE(4));
  const pseudo = Buffer.concat([
    packet.subarray(8, 40),
    Buffer.of(0, 0),
    packet.subarray(4, 6),
    Buffer.of(0, 0, 0, 58),
  ]);
  return internetChecksum(Buffer.concat([pseudo, payload])) === 0 ? [] : ['ICMPv6 checksum'];
}
