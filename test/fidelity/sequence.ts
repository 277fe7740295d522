import { FLAG_REPLY, hex, type JsonObject, type Region } from '../../src/wire/index.js';
import { fieldsText, isMessage, type MessageLine, type Phase, type PhaseName, regionsOf } from './transcript.js';

/**
 * The front-end's part of a phase in a form in which two runs can be compared: a line for each message, with number, name,
 * flags, size, fields and count of descriptors as they were, less what no two runs have in common. All that is taken out
 * is taken out here; each rule says why. Times are not compared.
 */
export interface Sequence {
  phase: PhaseName;
  /** Messages without those that the back-end did not read. */
  lines: string[];
}

/** What is known about rings beside the messages; by ring. */
export interface RingFacts {
  /** The used index in the guest's memory when the back-end was away; absent where nobody looked. */
  usedIdx?: ReadonlyMap<number, number>;
}

/** Normalises the phases of a run, in their order. @param facts by position of the phase */
export function sequences(phases: readonly Phase[], facts: readonly RingFacts[] = []): Sequence[] {
  let regions: Region[] = [];
  const answered = new Map<number, number>();
  return phases.map(({ name, lines }, i) => {
    const known: Known = { phase: name, answered, usedIdx: facts[i]?.usedIdx };
    const texts: string[] = [];
    for (const line of lines) {
      // The messages that follow are in the transcript, as it was recorded on QEMU's side, but reached nobody.
      if (!isMessage(line)) {
        if (line.what === 'stops-reading') break;
        continue;
      }
      if (line.name === 'GET_VRING_BASE' && (line.flags & FLAG_REPLY) !== 0)
        answered.set(line.body.index as number, line.body.num as number);
      if (line.from !== 'front-end') continue;
      if (line.name === 'SET_MEM_TABLE') regions = regionsOf(line.body);
      texts.push(text(line, fields(line, regions, known)));
    }
    return { phase: name, lines: texts };
  });
}

interface Known {
  phase: PhaseName;
  /** What the back-end answered to GET_VRING_BASE last, by ring. */
  answered: ReadonlyMap<number, number>;
  usedIdx: ReadonlyMap<number, number> | undefined;
}

function text({ request, name, flags, size, fds }: MessageLine, body: JsonObject): string {
  const parts = [
    `${request}`,
    name,
    `0x${flags.toString(16)}`,
    `${size}`,
    fieldsText(body),
    fds > 0 ? `fds=${fds}` : '',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

/** The rules. A message that is not named here is compared as it was. */
function fields({ name, body }: MessageLine, regions: readonly Region[], known: Known): JsonObject {
  switch (name) {
    case 'SET_MEM_TABLE':
      return { regions: regionsOf(body).map(withoutPlace) };
    case 'SET_VRING_ADDR':
      return withoutAddresses(body, regions);
    case 'SET_VRING_BASE':
      return { ...body, num: base(body, known) };
    default:
      return body;
  }
}

/** Where QEMU's own memory lies is the loader's choice at every start. Guest address, size and offset are compared. */
function withoutPlace({ guestAddr, size, mmapOffset }: Region): JsonObject {
  return { guestAddr: hex(guestAddr), size: hex(size), userAddr: '*', mmapOffset: hex(mmapOffset) };
}

/**
 * Where the guest's driver puts its rings is its own choice. Index and flags are compared, and that the address for the
 * dirty log is the used ring's guest address.
 */
function withoutAddresses({ index, flags, used, log }: JsonObject, regions: readonly Region[]): JsonObject {
  const logs = guestAddress(BigInt(used as string), regions) === BigInt(log as string);
  return { index: index!, flags: flags!, desc: '*', used: '*', avail: '*', log: logs ? 'used' : log! };
}

/**
 * Where a ring goes on depends on how many packets went before. After a loss QEMU takes it from the ring itself: it is
 * compared as `used` when it is the used index that stood in the guest's memory, as a number when not. What stood there
 * nobody looked up when the transcripts were recorded: their number counts as the used index; that the rings can get
 * there is what the replay shows. After a stop it is compared as `answered` when it is what GET_VRING_BASE gave.
 */
function base({ index, num }: JsonObject, { phase, answered, usedIdx }: Known): string | number {
  const ring = index as number;
  if (phase === 'cont') return answered.get(ring) === num ? 'answered' : (num as number);
  if (!phase.startsWith('after-')) return num as number;
  return usedIdx === undefined || usedIdx.get(ring) === num ? 'used' : (num as number);
}

/** The guest's address of what QEMU sees at `userAddr`; undefined where no region has it. */
export function guestAddress(userAddr: bigint, regions: readonly Region[]): bigint | undefined {
  const region = regions.find((r) => userAddr >= r.userAddr && userAddr < r.userAddr + r.size);
  return region && userAddr - region.userAddr + region.guestAddr;
}
