export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
/** 802.1Q, 802.1ad, and what was used for the outer tag before it. */
const TAGS = new Set([0x8100, 0x88a8, 0x9100]);
const TAG_SIZE = 4;
/** Offsets in a frame. */
const OFFSET = { source: 6, type: 12 } as const;
/** The shortest frame, without the frame check sequence. */
const SHORTEST = 60;

/** A frame without its frame check sequence. `tags`: the VLAN tags, 4 bytes each. The parts are views. */
export interface EthernetFrame {
  destination: Buffer;
  source: Buffer;
  tags: Buffer;
  ethertype: number;
  payload: Buffer;
}

/** Takes a frame apart; undefined when it ends before its payload begins. */
export function parseEthernet(bytes: Buffer): EthernetFrame | undefined {
  let at: number = OFFSET.type;
  while (at + 2 <= bytes.length && TAGS.has(bytes.readUInt16BE(at))) at += TAG_SIZE;
  if (at + 2 > bytes.length) return undefined;
  return {
    destination: bytes.subarray(0, OFFSET.source),
    source: bytes.subarray(OFFSET.source, OFFSET.type),
    tags: bytes.subarray(OFFSET.type, at),
    ethertype: bytes.readUInt16BE(at),
    payload: bytes.subarray(at + 2),
  };
}

/** Builds a frame, padded with zeros to the shortest that there is. */
export function buildEthernet({ destination, source, tags, ethertype, payload }: EthernetFrame): Buffer {
  const type = Buffer.alloc(2);
  type.writeUInt16BE(ethertype);
  const frame = Buffer.concat([destination, source, tags, type, payload]);
  return frame.length < SHORTEST ? Buffer.concat([frame], SHORTEST) : frame;
}
