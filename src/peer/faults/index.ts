import type { z } from 'zod';
import { deaf } from './deaf.js';
import type { Answer, Bend, Fault, FaultKind, Pause } from './fault.js';
import { fds } from './fds.js';
import { header } from './header.js';
import { hold } from './hold.js';
import { late } from './late.js';
import { request } from './request.js';
import { silent } from './silent.js';
import { split } from './split.js';
import { stall } from './stall.js';
import { stray } from './stray.js';
import { twice } from './twice.js';
import { unasked } from './unasked.js';
import { value } from './value.js';

export type { Answer, Bend, ChannelAct, FaultKind, GiftName, Pause } from './fault.js';

const kinds = { silent, stall, hold, late, deaf, split, header, value, stray, twice, unasked, fds, request } as const;

/** What a back-end can do wrong, in the order that help lists it. */
export const faultKinds: readonly FaultKind[] = Object.values(kinds) as FaultKind[];

/** What a session does wrong, by kind: the form that cases have after their schemas made something of it. */
export type SessionFault = { [K in keyof typeof kinds]?: z.output<(typeof kinds)[K]['schema']> };

/** Something that is done wrong, and the kind of fault that it is. */
export interface Misdeed {
  name: string;
  bend: Bend;
}

/** What is done wrong where nothing is under way. @throws TypeError for a kind that needs a message to happen at */
export function atOnce(faults: SessionFault): Misdeed[] {
  return made(faults).map(([name, fault]) => {
    const bend = fault.atOnce?.();
    if (!bend) throw new TypeError(`${name} needs a message to happen at`);
    return { name, bend };
  });
}

/** The faults of one session, with the count of its messages. */
export class Faults {
  readonly #faults: readonly [name: string, fault: Fault][];
  readonly #counts = new Map<string, number>();

  constructor(faults: SessionFault) {
    this.#faults = made(faults);
  }

  /** It reads nothing at all. */
  get silent(): boolean {
    return this.#faults.some(([, fault]) => fault.silent);
  }

  /** What happens as soon as the session is open. */
  atOnce(): Misdeed[] {
    return this.#faults.flatMap(([name, fault]) => {
      const bend = fault.atOnce?.();
      return bend ? [{ name, bend }] : [];
    });
  }

  /** A message came: what happens before and when it is dealt with. */
  meet(name: string): Meeting {
    const nth = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, nth);
    const message = { name, nth };
    const pauses = this.#faults.flatMap(([kind, fault]) => {
      const pause = fault.pause?.(message);
      return pause === undefined ? [] : [{ name: kind, pause }];
    });
    return {
      ...(pauses[0] ? { pause: pauses[0] } : {}),
      bends: (answer) =>
        this.#faults.flatMap(([kind, fault]) => {
          const bend = fault.bend?.(message, answer);
          return bend ? [{ name: kind, bend }] : [];
        }),
    };
  }
}

/** What the faults make of one message. */
export interface Meeting {
  pause?: { name: string; pause: Pause };
  bends(answer: Answer | undefined): Misdeed[];
}

const made = (faults: SessionFault): [string, Fault][] =>
  Object.entries(faults).map(([name, params]) => [name, (kinds[name as keyof typeof kinds] as FaultKind).make(params)]);
