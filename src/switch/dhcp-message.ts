import type { DropReason } from './notice.js';

/** A DHCP message (RFC 2131, 2): offsets in bytes. What is not named here is zero in the host's messages. */
const OFFSET = {
  operation: 0,
  hardware: 1,
  xid: 4,
  flags: 10,
  ciaddr: 12,
  yiaddr: 16,
  siaddr: 20,
  giaddr: 24,
  chaddr: 28,
  sname: 44,
  cookie: 236,
  options: 240,
} as const;
const REQUEST = 1;
const REPLY = 2;
/** Ethernet, and the size of its addresses. */
const HARDWARE = Buffer.of(1, 6);
const MAC_SIZE = 6;
const COOKIE = Buffer.from('63825363', 'hex');
const BROADCAST = 0x8000;
/** What BOOTP's messages are at least, which some clients insist on (RFC 1542, 2.1). */
const SHORTEST = 300;
const PAD = 0;
const END = 255;

export const DHCP_PORT = { server: 67, client: 68 } as const;
/** Values of option 53 (RFC 2132, 9.6). */
export const DHCP_TYPE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;
/** Options that the host reads or writes (RFC 2132). */
export const DHCP_OPTION = {
  subnetMask: 1,
  router: 3,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverId: 54,
  clientId: 61,
} as const;

/** What a client asks; views. Addresses are 0.0.0.0 where there is none. */
export interface DhcpRequest {
  type: number;
  /** The client's MAC. */
  mac: Buffer;
  /** The address that the client has and uses. */
  ciaddr: Buffer;
  /** The relay that it came over. */
  giaddr: Buffer;
  /** The client cannot be sent to at an address that it does not have yet. */
  broadcast: boolean;
  options: ReadonlyMap<number, Buffer>;
  bytes: Buffer;
}

/** Reads a client's message, over Ethernet. */
export function parseDhcp(bytes: Buffer): DhcpRequest | DropReason {
  const isDhcp =
    bytes.length >= OFFSET.options &&
    bytes[OFFSET.operation] === REQUEST &&
    bytes.subarray(OFFSET.hardware, OFFSET.hardware + 2).equals(HARDWARE) &&
    bytes.subarray(OFFSET.cookie, OFFSET.options).equals(COOKIE);
  const options = isDhcp ? readOptions(bytes.subarray(OFFSET.options)) : undefined;
  const type = options?.get(DHCP_OPTION.messageType)?.[0];
  if (!options || type === undefined) return 'malformed';
  return {
    type,
    mac: bytes.subarray(OFFSET.chaddr, OFFSET.chaddr + MAC_SIZE),
    ciaddr: bytes.subarray(OFFSET.ciaddr, OFFSET.yiaddr),
    giaddr: bytes.subarray(OFFSET.giaddr, OFFSET.chaddr),
    broadcast: (bytes.readUInt16BE(OFFSET.flags) & BROADCAST) !== 0,
    options,
    bytes,
  };
}

/** Each is u8 code, u8 length, value, save pad and end. Undefined where one does not fit; the end may be missing. */
function readOptions(bytes: Buffer): Map<number, Buffer> | undefined {
  const options = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length && bytes[at] !== END; ) {
    const code = bytes[at++]!;
    if (code === PAD) continue;
    const end = at + 1 + (bytes[at] ?? Number.POSITIVE_INFINITY);
    if (end > bytes.length) return undefined;
    options.set(code, bytes.subarray(at + 1, end));
    at = end;
  }
  return options;
}

/** Builds the answer to a request: with its transaction, flags and MAC. Options are in the order that they are given in. */
export function buildDhcp(
  request: DhcpRequest,
  { yiaddr, options }: { yiaddr?: Buffer | undefined; options: readonly (readonly [code: number, value: Buffer])[] },
): Buffer {
  const head = Buffer.alloc(OFFSET.options);
  head[OFFSET.operation] = REPLY;
  head.set(HARDWARE, OFFSET.hardware);
  for (const [from, to] of [
    [OFFSET.xid, OFFSET.xid + 4],
    [OFFSET.flags, OFFSET.yiaddr],
    [OFFSET.giaddr, OFFSET.sname],
  ] as const)
    head.set(request.bytes.subarray(from, to), from);
  if (yiaddr) head.set(yiaddr, OFFSET.yiaddr);
  head.set(COOKIE, OFFSET.cookie);
  const tail = options.map(([code, value]) => Buffer.concat([Buffer.of(code, value.length), value]));
  const message = Buffer.concat([head, ...tail, Buffer.of(END)]);
  return message.length < SHORTEST ? Buffer.concat([message], SHORTEST) : message;
}
