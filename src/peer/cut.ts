import { PeerError } from './peer-error.js';

/**
 * Where at a message the peer leaves, in the order of what has happened by then. Before reading it and with its payload
 * unread, QEMU finds its connection reset; after it was read, ended. A message without an answer has no header and no
 * payload to break off in, and nothing to leave after.
 */
export const cutPlaces = [
  'before-read',
  'half-read',
  'after-read',
  'half-header',
  'half-payload',
  'after-reply',
] as const;
export type CutPlace = (typeof cutPlaces)[number];

/** The point at which the peer leaves: at a message of QEMU's, the nth of its name since the cut was armed. */
export interface Cut {
  message: string;
  /** From 1. */
  nth: number;
  place: CutPlace;
}

/** How a cut is written: `SET_VRING_CALL.2.after-read`. */
export const cutPattern = new RegExp(`^([A-Z][A-Z_]*)\\.([1-9]\\d*)\\.(${cutPlaces.join('|')})$`);

/** @throws PeerError ERR_CUT when the text is none */
export function parseCut(text: string): Cut {
  const [, message, nth, place] = cutPattern.exec(text) ?? [];
  if (message === undefined)
    throw new PeerError('ERR_CUT', `"${text}" is no cut`, 'a cut is written like SET_VRING_CALL.2.after-read');
  return { message, nth: Number(nth), place: place as CutPlace };
}

/** The text that parseCut takes. */
export const cutText = ({ message, nth, place }: Cut): string => `${message}.${nth}.${place}`;

/** Watches the messages of one session after the other for the point at which to leave. */
export class CutWatch {
  #seen = 0;
  #fired = false;

  constructor(readonly cut: Cut) {}

  get fired(): boolean {
    return this.#fired;
  }

  /** Counts a message of this name. @returns where to leave at it, if it is the one */
  meet(message: string): CutPlace | undefined {
    if (this.#fired || message !== this.cut.message) return undefined;
    return ++this.#seen === this.cut.nth ? this.cut.place : undefined;
  }

  fire(): void {
    this.#fired = true;
  }
}
