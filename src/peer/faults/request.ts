import { z } from 'zod';
import {
  backEndRequests,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  type Payload,
  specByName,
  VERSION,
} from '../../wire/index.js';
import { type Bend, type FaultKind, isAt, placeOrName } from './fault.js';

const u32 = z.int().min(0).max(0xffff_ffff);

const schema = z.strictObject({
  send: z
    .union([z.enum(backEndRequests.map((spec) => spec.name)), u32])
    .optional()
    .describe('The request, or a number that no request has; nothing is sent without'),
  at: placeOrName.optional().describe('While QEMU waits for the answer to this message; otherwise at once'),
  needReply: z.boolean().default(false).describe('Asks for an answer'),
  queue: z.int().min(0).max(255).default(0).describe('Of BACKEND_VRING_HOST_NOTIFIER_MSG'),
  length: z.int().min(0).default(4096).describe('Of its area, or of the translation that is asked for'),
  offset: z.int().min(0).default(0).describe('Where its area lies in the file, or the translation in I/O memory'),
  fds: z
    .array(z.enum(['eventfd', 'page']))
    .default([])
    .describe('What comes with it: eventfds, pages of memory'),
  size: u32.optional().describe('Another size in the header'),
  cut: z.int().min(1).max(2000).optional().describe('No more than the first bytes of it are sent'),
  close: z.boolean().default(false).describe('The channel is closed after it'),
  leave: z.boolean().default(false).describe('The session is closed after it'),
});
type Request = z.output<typeof schema>;

/** The message of VHOST_IOTLB_MISS, for writing (linux/vhost_types.h). */
const MISS = { permissions: 2, type: 1 };

export const request: FaultKind<Request> = {
  name: 'request',
  help: "A request that QEMU does not expect on the channel for the back-end's own, or half of one, or the channel is closed",
  schema,
  atOnce: true,
  make: (params) => {
    const act = bend(params);
    return params.at === undefined
      ? { atOnce: () => act }
      : { bend: (message) => (isAt(params.at, message) ? act : undefined) };
  },
};

function bend(params: Request): Bend {
  const { send, needReply, size, cut, close, leave } = params;
  const whole = size === undefined && cut === undefined && send !== undefined;
  const bytes = send === undefined ? Buffer.alloc(0) : message(params).subarray(0, cut);
  const what = [
    send === undefined ? [] : `${send} on the channel${needReply ? ', wants a reply' : ''}`,
    size === undefined ? [] : `size ${size} in its header`,
    cut === undefined ? [] : `cut after ${bytes.length} bytes`,
    close ? 'closes the channel' : [],
  ].flat();
  return {
    what: what.join(', '),
    spoils: 'channel',
    channel: { bytes, fds: params.fds, whole, close },
    ...(bytes.length > 0 && !whole && !close ? { half: true } : {}),
    ...(size !== undefined && size > bytes.length ? { announces: size } : {}),
    ...(leave ? { leave: true } : {}),
  };
}

function message({ send, needReply, size, ...params }: Request): Buffer {
  const id = typeof send === 'number' ? send : specByName(send!).id;
  const bytes = encodeMessage({
    request: id,
    flags: VERSION | (needReply ? FLAG_NEED_REPLY : 0),
    payload: typeof send === 'number' ? Buffer.alloc(8) : encodePayload(payload({ ...params, send: send! })),
  });
  if (size !== undefined) bytes.writeUInt32LE(size, 8);
  return bytes;
}

function payload({
  send,
  queue,
  length,
  offset,
  fds,
}: Pick<Request, 'queue' | 'length' | 'offset' | 'fds'> & { send: NonNullable<Request['send']> }): Payload {
  const [size, at] = [BigInt(length), BigInt(offset)];
  switch (send) {
    case 'BACKEND_IOTLB_MSG':
      return { kind: 'iotlb', iova: at, size, userAddr: 0n, ...MISS };
    case 'BACKEND_VRING_HOST_NOTIFIER_MSG':
      return { kind: 'vring-area', vring: { index: queue, noFd: fds.length === 0 }, size, offset: at };
    case 'BACKEND_VRING_CALL':
    case 'BACKEND_VRING_ERR':
      return { kind: 'vring-state', index: queue, num: 0 };
    case 'BACKEND_SHARED_OBJECT_ADD':
    case 'BACKEND_SHARED_OBJECT_REMOVE':
    case 'BACKEND_SHARED_OBJECT_LOOKUP':
      return { kind: 'shared-object', uuid: Buffer.alloc(16, queue + 1) };
    case 'BACKEND_SHMEM_MAP':
    case 'BACKEND_SHMEM_UNMAP':
      return { kind: 'mmap', shmid: 0, fdOffset: at, shmOffset: 0n, length: size, flags: 1n };
    default:
      return { kind: 'none' };
  }
}
