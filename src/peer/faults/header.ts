import { z } from 'zod';
import { FLAG_REPLY, HEADER_SIZE, MAX_PAYLOAD, VERSION } from '../../wire/index.js';
import { type Answer, type Bend, type FaultKind, isAt, place } from './fault.js';

const u32 = z.int().min(0).max(0xffff_ffff);

const schema = z.strictObject({
  ...place.shape,
  request: u32.optional().describe("Another request's number"),
  flags: u32.optional().describe('Other flags than 5: version 1 in bits 0 and 1, reply in bit 2, need reply in bit 3'),
  size: u32.optional().describe('Another size of the payload; as many bytes follow, where that is no lie'),
  sent: z.int().min(0).max(65_536).optional().describe('Bytes of payload that follow the header'),
});
type Header = z.output<typeof schema>;

export const header: FaultKind<Header> = {
  name: 'header',
  help: 'The header of an answer has a wrong request, wrong flags or a wrong size',
  schema,
  make: (params) => ({
    bend: (message, answer) => (answer && isAt(params, message) ? bend(params, answer) : undefined),
  }),
};

function bend({ request, flags, size, sent }: Header, answer: Answer): Bend {
  const announced = size ?? answer.payload.length;
  // A size beyond all payloads is a lie: nobody means to send 4 GiB.
  const follow = sent ?? (announced <= MAX_PAYLOAD ? announced : answer.payload.length);
  const bytes = Buffer.alloc(HEADER_SIZE + follow);
  bytes.writeUInt32LE(request ?? answer.request, 0);
  bytes.writeUInt32LE(flags ?? answer.flags, 4);
  bytes.writeUInt32LE(announced, 8);
  answer.payload.copy(bytes, HEADER_SIZE, 0, Math.min(follow, answer.payload.length));
  const what = [
    request === undefined ? [] : `request ${request} in place of ${answer.request}`,
    flags === undefined ? [] : `flags 0x${flags.toString(16)} in place of 0x${answer.flags.toString(16)}`,
    size === undefined ? [] : `size ${size} in place of ${answer.payload.length}`,
    follow === announced ? [] : `${follow} bytes of payload`,
  ].flat();
  return {
    what: what.join(', '),
    spoils: 'answer',
    instead: bytes,
    ...(follow < announced ? { half: true, announces: announced } : {}),
    ...(tolerable({ request, flags, size, sent }, answer) ? { tolerable: true } : {}),
  };
}

/**
 * What front-ends need not look at: bits of the flags beside version and reply, and the size of an acknowledgement, of
 * which QEMU takes the first eight bytes (process_message_reply).
 */
function tolerable({ request, flags, size }: Pick<Header, 'request' | 'flags' | 'size' | 'sent'>, answer: Answer) {
  const wanted = VERSION | FLAG_REPLY;
  return (
    (request === undefined || request === answer.request) &&
    (flags === undefined || (flags & 7) === wanted) &&
    (size === undefined || (answer.ack && size < MAX_PAYLOAD))
  );
}
