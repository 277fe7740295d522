import type { EventOf } from '../timeline/index.js';

/**
 * The messages of a connection's handshake in QEMU's order (vhost_user_backend_init, vhost_dev_init, once per queue pair).
 * `ring` is set for per-ring messages; an optional step may be left out.
 */
export interface HandshakeStep {
  name: string;
  ring?: number;
  optional: boolean;
}

/** How far a session's messages follow the script. */
export interface Handshake {
  /** The message that completed it. */
  complete?: EventOf<'wire.recv'>;
  /** The first message that the script does not allow at its place, and what it does allow there. */
  deviation?: { message: EventOf<'wire.recv'>; expected: string };
  /** The messages that belong to it, in order. */
  messages: readonly EventOf<'wire.recv'>[];
  /** What is to come next while it is incomplete. */
  next?: string;
}

/** What the script depends on. */
export interface HandshakeSetting {
  queuePairs: number;
  /** The back-end offers VHOST_USER_F_PROTOCOL_FEATURES. */
  protocolFeatures: boolean;
  /** SET_VRING_ERR is part of it: QEMU 7.1 and later (vhost_virtqueue_init). */
  ringErrors: boolean;
}

/** Device status messages follow the guest, not the handshake. */
const anywhere: ReadonlySet<string> = new Set(['GET_STATUS', 'SET_STATUS']);

/** The script for a setting: the device-wide messages go with pair 0 only. */
export function handshakeScript({ queuePairs, protocolFeatures, ringErrors }: HandshakeSetting): HandshakeStep[] {
  const must = (name: string): HandshakeStep => ({ name, optional: false });
  const may = (name: string): HandshakeStep => ({ name, optional: true });
  const steps: HandshakeStep[] = [];
  for (let pair = 0; pair < queuePairs; pair++) {
    steps.push(must('GET_FEATURES'));
    if (protocolFeatures) steps.push(must('GET_PROTOCOL_FEATURES'), must('SET_PROTOCOL_FEATURES'));
    if (pair === 0) {
      if (protocolFeatures) steps.push(may('GET_QUEUE_NUM'), may('GET_MAX_MEM_SLOTS'), may('SET_BACKEND_REQ_FD'));
      steps.push(must('SET_OWNER'));
    }
    steps.push(must('GET_FEATURES'));
    for (const ring of [2 * pair, 2 * pair + 1])
      steps.push({ ...must('SET_VRING_CALL'), ring }, { name: 'SET_VRING_ERR', ring, optional: !ringErrors });
  }
  return steps;
}

/** Lays a session's messages beside the script. `ringOf` gives the ring a message is about. */
export function followHandshake(
  script: readonly HandshakeStep[],
  received: readonly EventOf<'wire.recv'>[],
  ringOf: (message: EventOf<'wire.recv'>) => number | undefined,
): Handshake {
  const last = script.findLastIndex((step) => !step.optional);
  const messages: EventOf<'wire.recv'>[] = [];
  let at = 0;
  for (const message of received) {
    if (anywhere.has(message.name)) continue;
    const open = script.slice(at, firstRequired(script, at) + 1);
    const hit = open.findIndex(
      (step) => step.name === message.name && (step.ring === undefined || step.ring === ringOf(message)),
    );
    if (hit < 0) return { messages, deviation: { message, expected: describe(open) } };
    messages.push(message);
    at += hit + 1;
    if (at > last) return { messages, complete: message };
  }
  return { messages, next: describe(script.slice(at, firstRequired(script, at) + 1)) };
}

const firstRequired = (script: readonly HandshakeStep[], from: number): number => {
  const index = script.findIndex((step, i) => i >= from && !step.optional);
  return index < 0 ? script.length - 1 : index;
};

const describe = (steps: readonly HandshakeStep[]): string =>
  steps.map(({ name, ring }) => (ring === undefined ? name : `${name} of ring ${ring}`)).join(' or ');
