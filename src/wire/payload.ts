import type { JsonObject } from './codec.js';
import { type Layout, layouts, type Payload } from './layouts.js';
import type { FdRule, MessageSpec } from './messages.js';

/**
 * Decodes the payload of a request, or of its reply: a reply that the spec gives no layout is the u64 of REPLY_ACK.
 * Everything is bounds-checked: the sender may be hostile.
 * @throws WireError ERR_WIRE_SHORT, ERR_WIRE_TRAILING, ERR_WIRE_REGIONS, ERR_WIRE_RESERVED
 */
export function decodePayload(spec: MessageSpec, isReply: boolean, bytes: Buffer): Payload {
  const { payload, or } = isReply ? spec.reply : spec.request;
  const kind = or && layouts[or].takes(bytes.length) ? or : payload;
  const what = isReply ? `reply to ${spec.name}` : spec.name;
  return { kind, ...layouts[kind].decode(bytes, what) } as Payload;
}

type Writer = Pick<Layout<Payload>, 'encode' | 'json'>;

function layoutOf(payload: Payload): Writer {
  return layouts[payload.kind] as Writer;
}

/** The payload as it goes on the wire. @throws WireError ERR_WIRE_RANGE for a value that does not fit its field */
export function encodePayload(payload: Payload): Buffer {
  return layoutOf(payload).encode(payload);
}

/** The payload as a JSON object without `kind`: 64-bit values as `0x…`, bytes as hex dumps, {} for none. */
export function toJson(payload: Payload): JsonObject {
  return layoutOf(payload).json(payload);
}

function saysNoFd(payload: Payload): boolean {
  if (payload.kind === 'vring-fd') return payload.noFd;
  if (payload.kind === 'vring-area') return payload.vring.noFd;
  return payload.kind === 'u64' && (payload.value & 0x100n) !== 0n;
}

/** How many fds, at least and at most, come with a message of this rule and payload. */
export function fdRange(rule: FdRule, payload: Payload): { min: number; max: number } {
  const exactly = (n: number) => ({ min: n, max: n });
  switch (rule) {
    case 'none':
      return exactly(0);
    case 'one':
      return exactly(1);
    case 'optional':
      return { min: 0, max: 1 };
    case 'unless-bit-8':
      return exactly(saysNoFd(payload) ? 0 : 1);
    case 'per-region':
      return exactly(payload.kind === 'memory' ? payload.regions.length : 0);
  }
}
