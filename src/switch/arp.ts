import type { Outcome } from './answer.js';

/** ARP for IPv4 over Ethernet (RFC 826): offsets, and the size of a packet, in bytes. */
const OFFSET = { operation: 6, senderMac: 8, senderIp: 14, targetMac: 18, targetIp: 24 } as const;
const SIZE = 28;
/** Ethernet, IPv4, and the sizes of their addresses. */
const KIND = Buffer.from('0001' + '0800' + '06' + '04', 'hex');
const REQUEST = 1;
const REPLY = 2;

/** Answers who has `ipv4`: `mac` has. A probe's sender of 0.0.0.0 is answered like any other (RFC 5227, 2.1.1). */
export function answerArp(packet: Buffer, { mac, ipv4 }: { mac: Buffer; ipv4: Buffer }): Outcome {
  if (packet.length < SIZE) return 'malformed';
  const asked = packet.subarray(OFFSET.targetIp, SIZE);
  if (!packet.subarray(0, KIND.length).equals(KIND) || packet.readUInt16BE(OFFSET.operation) !== REQUEST)
    return undefined;
  if (!asked.equals(ipv4)) return undefined;
  const payload = Buffer.alloc(SIZE);
  payload.set(KIND);
  payload.writeUInt16BE(REPLY, OFFSET.operation);
  payload.set(mac, OFFSET.senderMac);
  payload.set(ipv4, OFFSET.senderIp);
  payload.set(packet.subarray(OFFSET.senderMac, OFFSET.targetMac), OFFSET.targetMac);
  return { payload };
}
