import type { Behaviour, Moment, Outgoing } from '../behaviour.js';

/** A mistake that a front-end could make, and who must notice. */
export interface TwinFault {
  /** Value of `TWIN_FAULT`. */
  name: string;
  /** The requirement that must be seen broken. */
  breaks: string;
  /** Requirements that may break with it, since one mistake leads to the other. */
  alsoBreaks?: readonly string[];
  /** The role in which the twin can make it. */
  role: 'server' | 'client' | 'both';
  /** It shows only with a guest driver that runs rings. */
  needsDriver: boolean;
  /** It shows only with so many queue pairs; 1 when absent. */
  queuePairs?: number;
  description: string;
}

/** A fault with the behaviour that makes it. */
export interface Fault extends TwinFault {
  behaviour: Partial<Behaviour>;
}

/** Faults on the wire show on returns only: a start-up without a loss looks well. */
export const isReturn = (connection: number): boolean => connection > 1;

/** Sends something else on a return in place of the messages of one name. */
export const onReturn = (
  name: Outgoing['name'],
  instead: (message: Outgoing, moment: Moment) => Outgoing[],
): Fault['behaviour'] => ({
  outgoing: (message, moment) =>
    isReturn(moment.connection) && message.name === name ? instead(message, moment) : [message],
});
