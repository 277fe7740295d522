import { at, struct, u32 } from './codec.js';
import { WireError } from './error.js';

/** Bytes of a message's header: request, flags, size (spec section "Header"). */
export const HEADER_SIZE = 12;
/** The only version there is, in bits 0-1 of the flags. */
export const VERSION = 1;
/** Flag: this message is a reply. */
export const FLAG_REPLY = 4;
/** Flag: the sender wants an answer to a message that has none of its own (spec section "REPLY_ACK"). */
export const FLAG_NEED_REPLY = 8;
/** Most bytes of payload that are read: the largest layout has 2056, and a hostile size must not make us allocate 4 GiB. */
export const MAX_PAYLOAD = 4096;

const VERSION_MASK = 3;

const layout = struct(HEADER_SIZE, { request: at(0, u32), flags: at(4, u32), size: at(8, u32) });

/** A decoded header; `size` counts the bytes of payload that follow. */
export interface Header {
  request: number;
  flags: number;
  size: number;
}

/**
 * Decodes the first HEADER_SIZE bytes; what follows them is not looked at.
 * @throws WireError ERR_WIRE_SHORT, ERR_WIRE_VERSION
 */
export function decodeHeader(bytes: Buffer): Header {
  if (bytes.length < HEADER_SIZE)
    throw new WireError('ERR_WIRE_SHORT', `${bytes.length} bytes of header, expected ${HEADER_SIZE}`, 'read on first');
  const header = layout.read(bytes, 0);
  const version = header.flags & VERSION_MASK;
  if (version !== VERSION)
    throw new WireError(
      'ERR_WIRE_VERSION',
      `version ${version} in request ${header.request}, expected ${VERSION}`,
      'this is no vhost-user socket, or the stream lost its step',
    );
  return header;
}

/** Header and payload as they go on the wire; the size field is the payload's length. @throws WireError ERR_WIRE_RANGE */
export function encodeMessage(message: { request: number; flags: number; payload: Buffer }): Buffer {
  const { request, flags, payload } = message;
  const bytes = Buffer.alloc(HEADER_SIZE + payload.length);
  layout.write(bytes, 0, { request, flags, size: payload.length });
  payload.copy(bytes, HEADER_SIZE);
  return bytes;
}
