import { z } from 'zod';
import type { Ms } from '../../timeline/index.js';
import { frontEndRequests } from '../../wire/index.js';

/** A message of the front-end, as faults see it. */
export interface Incoming {
  name: string;
  /** How many messages of this name the session has had, this one included. */
  nth: number;
}

/** The answer that is due to a message: what an honest back-end would send. */
export interface Answer {
  request: number;
  flags: number;
  payload: Buffer;
  /** It only acknowledges, as NEED_REPLY asked for; the message has no reply of its own. */
  ack: boolean;
}

/**
 * How long a message waits before it is dealt with: for ever, until somebody says so, or a time; reading goes on where an
 * answer is due.
 */
export type Pause = 'for-ever' | 'until-resumed' | Ms;

/** What comes with a request of the back-end: an eventfd, or a page of shared memory. */
export type GiftName = 'eventfd' | 'page';

/** What is done on the channel for the back-end's own requests. */
export interface ChannelAct {
  /** Sent if it has any. */
  bytes: Buffer;
  fds: readonly GiftName[];
  /** The bytes are a whole message, which QEMU can answer. */
  whole: boolean;
  /** Closes the channel after it. */
  close: boolean;
}

/** What goes wrong at one message, or at once. The parts are done in this order. */
export interface Bend {
  /** For people. */
  what: string;
  /**
   * What QEMU cannot use any more: the answer to this message, every later answer of the session since bytes lie before it
   * that belong to none, the channel for the back-end's requests, or the whole session. Absent: what QEMU gets is legal.
   */
  spoils?: 'answer' | 'stream' | 'channel' | 'all';
  /** The specification does not forbid what a QEMU that takes it all the same makes of it. */
  tolerable?: true;
  channel?: ChannelAct;
  /** Another payload for the answer, which stays well-formed. */
  payload?: Buffer;
  /** Bytes in place of the answer. */
  instead?: Buffer;
  /** The answer goes in two parts, the second when QEMU has read the first: bytes in the first. */
  cut?: number;
  /** So many eventfds go with the answer. */
  fds?: number;
  /** Bytes behind the answer. */
  after?: Buffer;
  /** Nothing is read any more. */
  deaf?: true;
  /** The session ends at once. */
  leave?: true;
  /** QEMU is left with part of something, and may wait for the rest. */
  half?: true;
  /** The payload size that a header announces, where that is a lie. */
  announces?: number;
}

/** One thing that a session does wrong. It is asked at each point; undefined = nothing wrong here. */
export interface Fault {
  /** Reads nothing at all. */
  silent?: true;
  /** Before a message is dealt with. */
  pause?(message: Incoming): Pause | undefined;
  /** When a message was dealt with; `answer` is undefined where none is due. */
  bend?(message: Incoming, answer: Answer | undefined): Bend | undefined;
  /** As soon as it can: when the session opens, or when a step says so. */
  atOnce?(): Bend | undefined;
}

/** A kind of fault: a field of what comes back in a case, and of `misbehave` where it can happen at once. */
export interface FaultKind<P = unknown> {
  name: string;
  /** One sentence for the schema. */
  help: string;
  schema: z.ZodType<P>;
  /** It may stand in `misbehave`: it needs no message to happen at. */
  atOnce?: true;
  make(params: P): Fault;
}

const name = z.enum(frontEndRequests.map((spec) => spec.name));
const nth = z.int().min(1).optional().describe('Which of the messages of this name on the connection; 1 = the first');

/** The message at which a fault happens. */
export const place = z.strictObject({ message: name, nth });
export type Place = z.output<typeof place>;

/** The same, or just the message's name. */
export const placeOrName = z.union([name, place]);

/** A duration in a case: the loader knows it by its title, and has made milliseconds of it. */
export const duration = z.number().min(0).meta({ title: 'duration' });

/** Whether a message is the one that a place names. */
export function isAt(where: Place | Place['message'] | undefined, { name, nth }: Incoming): boolean {
  if (where === undefined) return false;
  if (typeof where === 'string') return where === name && nth === 1;
  return where.message === name && (where.nth ?? 1) === nth;
}
