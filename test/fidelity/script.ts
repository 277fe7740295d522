import {
  type ConnectionLine,
  isMessage,
  type Line,
  type MessageLine,
  type PhaseName,
  regionsOf,
  type Transcript,
} from './transcript.js';

/** Phases in which the guest's driver makes new rings; in any other they go on where they were. */
const FRESH: readonly PhaseName[] = ['boot', 'reset'];

export const makesRings = (phase: PhaseName): boolean => FRESH.includes(phase);

/** The lines of a transcript in a row, and what they say about what is to come. Positions count from 0. */
export class Script {
  readonly lines: readonly { phase: PhaseName; line: Line }[];

  constructor({ phases }: Transcript) {
    this.lines = phases.flatMap((phase) => phase.lines.map((line) => ({ phase: phase.name, line })));
  }

  /** Bytes that a file of the guest's memory must have to hold every region that is announced. */
  get memoryLength(): number {
    const messages = this.lines.flatMap(({ line }) => (isMessage(line) && line.name === 'SET_MEM_TABLE' ? [line] : []));
    const regions = messages.flatMap(({ from, body }) => (from === 'front-end' ? regionsOf(body) : []));
    return Math.max(...regions.map(({ mmapOffset, size }) => Number(mmapOffset + size)));
  }

  /** Whether the line there says that this happened to the connection. */
  says(at: number, what: ConnectionLine['what']): boolean {
    const line = this.lines[at]?.line;
    return line !== undefined && !isMessage(line) && line.what === what;
  }

  /** The reply to the message there; undefined where none was recorded. */
  replyTo(at: number): MessageLine | undefined {
    const message = this.lines[at]!.line as MessageLine;
    const next = this.lines.slice(at + 1).find(({ line }) => isMessage(line))?.line as MessageLine | undefined;
    return next?.from === 'back-end' && next.request === message.request ? next : undefined;
  }

  /** Where a ring next is known to be: what the back-end answers, or where QEMU has the next one start. */
  nextIndex(at: number, ring: number): number | undefined {
    for (const { line, phase } of this.lines.slice(at)) {
      if (!isMessage(line) || line.body.index !== ring) continue;
      if (line.name === 'GET_VRING_BASE' && line.from === 'back-end') return line.body.num as number;
      if (line.name === 'SET_VRING_BASE') return makesRings(phase) ? undefined : (line.body.num as number);
    }
    return undefined;
  }
}
