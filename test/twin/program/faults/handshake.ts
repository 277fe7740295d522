import {
  bit,
  VHOST_USER_PROTOCOL_F_RARP,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VHOST_USER_PROTOCOL_F_SHARED_OBJECT,
  VHOST_USER_PROTOCOL_F_STATUS,
} from '../../../../src/wire/index.js';
import type { InitStep } from '../behaviour.js';
import { type Fault, isReturn, onReturn } from './fault.js';

const WRONG_ORDER: InitStep[] = [
  'features',
  'owner',
  'ring-fds',
  'protocol-features',
  'queue-num',
  'backend-channel',
  'features-again',
];

/** A protocol feature that no OVS offers. */
const UNOFFERED = VHOST_USER_PROTOCOL_F_SHARED_OBJECT;

/** SET_STATUS messages of a start and a stop: FEATURES_OK, DRIVER_OK, 0. */
const STATUS_ONCE = 2;

/** Acks other protocol features on a return than a good front-end does. */
const ackingOnReturn = (change: (bits: bigint) => bigint): Fault['behaviour'] =>
  onReturn('SET_PROTOCOL_FEATURES', (message) => {
    const { payload } = message;
    return payload.kind === 'u64'
      ? [{ ...message, payload: { kind: 'u64', value: change(payload.value) } }]
      : [message];
  });

/** R18, R19, R21, R22, R28, R30, R46, R47, R49: the messages that are not about rings. */
export const handshakeFaults: readonly Fault[] = [
  {
    name: 'wrong-handshake-order',
    breaks: 'R18',
    alsoBreaks: ['R31'],
    role: 'both',
    needsDriver: false,
    description: 'Owns the session and sends ring fds before it asks for protocol features, on a return.',
    behaviour: {
      initSteps: (steps, connection) => (isReturn(connection) && steps.includes('owner') ? WRONG_ORDER : steps),
    },
  },
  {
    name: 'stray-first-message',
    breaks: 'R18',
    alsoBreaks: ['R31'],
    role: 'both',
    needsDriver: false,
    description: 'Begins a new connection with a leftover SET_VRING_ENABLE.',
    behaviour: {
      outgoing: (message, { connection, before }) => {
        if (!isReturn(connection) || message.name !== 'GET_FEATURES' || before > 0) return [message];
        const stray = { kind: 'vring-state', index: 0, num: 1 } as const;
        return [{ name: 'SET_VRING_ENABLE', payload: stray, fds: [], needReply: false, waits: false }, message];
      },
    },
  },
  {
    name: 'protocol-features-unoffered',
    breaks: 'R22',
    alsoBreaks: ['R18', 'R31'],
    role: 'both',
    needsDriver: false,
    description: 'Acks a protocol feature on a return that the back-end does not offer.',
    behaviour: ackingOnReturn((bits) => bits | bit(UNOFFERED)),
  },
  {
    name: 'protocol-feature-forgotten',
    breaks: 'R47',
    role: 'both',
    needsDriver: false,
    description: 'Acks one protocol feature less on a return.',
    behaviour: ackingOnReturn((bits) => bits & ~bit(VHOST_USER_PROTOCOL_F_RARP)),
  },
  {
    name: 'memory-unacknowledged',
    breaks: 'R47',
    role: 'both',
    needsDriver: true,
    description: 'Does not want its memory table acknowledged by who returns, and sets up rings at once.',
    behaviour: onReturn('SET_MEM_TABLE', (message) => [{ ...message, needReply: false, waits: false }]),
  },
  {
    name: 'status-untold',
    breaks: 'R46',
    role: 'both',
    needsDriver: true,
    description: 'Does not tell who returns that the driver is ready.',
    behaviour: onReturn('SET_STATUS', () => []),
  },
  {
    name: 'status-told-once',
    breaks: 'R46',
    role: 'both',
    needsDriver: true,
    description: 'Does not tell who was told before, on a connection, that the driver is ready again.',
    behaviour: {
      outgoing: (message, { before }) => (message.name === 'SET_STATUS' && before > STATUS_ONCE ? [] : [message]),
    },
  },
  {
    name: 'announced-without-address',
    breaks: 'R49',
    role: 'both',
    needsDriver: true,
    description: 'Announces the guest without its address after a return.',
    behaviour: onReturn('SEND_RARP', (message) => [{ ...message, payload: { kind: 'u64', value: 0n } }]),
  },
  {
    name: 'status-unnegotiated',
    breaks: 'R30',
    role: 'both',
    needsDriver: true,
    description: 'Sends SET_STATUS on a return to a back-end with which it did not negotiate STATUS.',
    behaviour: {
      acksProtocolFeatures: (bits) => bits & ~bit(VHOST_USER_PROTOCOL_F_STATUS),
      outgoing: (message, { connection }) => {
        if (!isReturn(connection) || message.name !== 'SET_FEATURES') return [message];
        const status = { kind: 'u64', value: 8n } as const;
        return [message, { name: 'SET_STATUS', payload: status, fds: [], needReply: false, waits: false }];
      },
    },
  },
  {
    name: 'owner-twice',
    breaks: 'R21',
    alsoBreaks: ['R18', 'R31'],
    role: 'both',
    needsDriver: false,
    description: 'Sends SET_OWNER twice on a return.',
    behaviour: onReturn('SET_OWNER', (message) => [message, message]),
  },
  {
    name: 'owner-never',
    breaks: 'R21',
    alsoBreaks: ['R18', 'R31'],
    role: 'both',
    needsDriver: false,
    description: 'Sends no SET_OWNER on a return.',
    behaviour: onReturn('SET_OWNER', () => []),
  },
  {
    name: 'enables-without-driver',
    breaks: 'R19',
    role: 'both',
    needsDriver: false,
    description: 'Enables ring 0 after the handshake of a return, though there is no driver.',
    behaviour: {
      outgoing: (message, { connection, before }) => {
        if (!isReturn(connection) || message.name !== 'SET_VRING_ERR' || before !== 1) return [message];
        const enable = { kind: 'vring-state', index: 0, num: 1 } as const;
        return [message, { name: 'SET_VRING_ENABLE', payload: enable, fds: [], needReply: false, waits: false }];
      },
    },
  },
  {
    name: 'enables-all-pairs',
    breaks: 'R19',
    role: 'both',
    needsDriver: false,
    queuePairs: 2,
    description: 'Tells a new device to have its second pair in use.',
    behaviour: {
      outgoing: (message) => [
        message.name === 'SET_VRING_ENABLE' && message.payload.kind === 'vring-state'
          ? { ...message, payload: { ...message.payload, num: 1 } }
          : message,
      ],
    },
  },
  {
    name: 'need-reply-unasked',
    breaks: 'R28',
    role: 'both',
    needsDriver: false,
    description: 'Does not ack REPLY_ACK and sets NEED_REPLY on SET_OWNER.',
    behaviour: {
      acksProtocolFeatures: (bits) => bits & ~bit(VHOST_USER_PROTOCOL_F_REPLY_ACK),
      outgoing: (message) => [message.name === 'SET_OWNER' ? { ...message, needReply: true } : message],
    },
  },
  {
    name: 'does-not-wait-for-reply',
    breaks: 'R28',
    role: 'both',
    needsDriver: false,
    description: 'Asks for replies with NEED_REPLY and sends on without waiting for them.',
    behaviour: { outgoing: (message) => [message.needReply ? { ...message, waits: false } : message] },
  },
];
