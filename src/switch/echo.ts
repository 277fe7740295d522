import { checksum } from './checksum.js';
import type { DropReason } from './notice.js';

/** An ICMP message: u8 type, u8 code, u16 checksum; an echo's goes on with u16 id, u16 sequence number and data. */
const OFFSET = { checksum: 2, id: 4, seq: 6 } as const;
const ECHO_HEADER = 8;

/** Types of the request and of its reply: of ICMP (RFC 792), of ICMPv6 (RFC 4443, 4). */
export const ECHO = { ipv4: { request: 8, reply: 0 }, ipv6: { request: 128, reply: 129 } } as const;

/**
 * Answers an echo request of code 0 with all of its data; undefined for any other message. The checksum also goes over
 * `pseudo`, of the message and of the answer, which are empty for ICMP.
 */
export function answerEcho(
  message: Buffer,
  { request, reply }: { request: number; reply: number },
  pseudo: { asked: Buffer; answered: Buffer },
): { id: number; seq: number; message: Buffer } | DropReason | undefined {
  if (message.length < ECHO_HEADER) return 'malformed';
  if (checksum(pseudo.asked, message) !== 0) return 'checksum';
  if (message[0] !== request || message[1] !== 0) return undefined;
  const answer = Buffer.from(message);
  answer[0] = reply;
  answer.writeUInt16BE(0, OFFSET.checksum);
  answer.writeUInt16BE(checksum(pseudo.answered, answer), OFFSET.checksum);
  return { id: message.readUInt16BE(OFFSET.id), seq: message.readUInt16BE(OFFSET.seq), message: answer };
}
