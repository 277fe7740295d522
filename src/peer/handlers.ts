import { EventFd, memfd } from '../os/index.js';
import {
  bit,
  type FrontEndName,
  type Payload,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
} from '../wire/index.js';
import { PeerError } from './peer-error.js';
import type { Session } from './session.js';
import type { Vring } from './vring.js';

/** The fds of a message, as many as the wire table wants; `keep` takes the first over, the rest is closed after the handler. */
export interface MessageFds {
  fds: readonly number[];
  keep(): number;
}

/** The answer of a handler; undefined = none of its own (NEED_REPLY is then acked with 0). */
export type Reply = { payload: Payload; fds?: number[] } | undefined;

type Handler<P extends Payload = Payload> = (session: Session, payload: P, fds: MessageFds) => Reply;
type Kind<K extends Payload['kind']> = Extract<Payload, { kind: K }>;

/** Checks the payload's kind, which the wire table fixes per message, and narrows it. */
const on =
  <K extends Payload['kind']>(
    kind: K,
    handle: (session: Session, payload: Kind<K>, fds: MessageFds) => Reply,
  ): Handler =>
  (session, payload, fds) => {
    if (payload.kind !== kind) throw new PeerError('ERR_PROTOCOL', `payload is ${payload.kind}, expected ${kind}`);
    return handle(session, payload as Kind<K>, fds);
  };

const u64 = (value: bigint): Reply => ({ payload: { kind: 'u64', value } });

/** Spec: an fd of a ring is invalid when bit 8 of the index is set; the ring is then to be polled. */
const ringFd = (use: (session: Session, ring: Vring, fd: EventFd | undefined) => void): Handler =>
  on('vring-fd', (session, { index, noFd }, fds) => {
    // The ring first: a bad index must not leave an fd that nobody owns.
    const ring = session.ring(index);
    use(session, ring, noFd ? undefined : EventFd.adopt(fds.keep()));
    return undefined;
  });

const subset = (what: string, acked: bigint, offered: bigint): bigint => {
  const extra = acked & ~offered;
  if (extra !== 0n)
    throw new PeerError('ERR_NOT_OFFERED', `${what} acks bits that were not offered: 0x${extra.toString(16)}`);
  return acked;
};

/**
 * One handler a message. What is absent is not offered by any profile (crypto, config, postcopy, shared objects, device
 * state): it is recorded, ignored, and answered with failure when QEMU wants a reply.
 */
export const handlers: { readonly [name: string]: Handler } = {
  GET_FEATURES: (session) => u64(session.profile.features),

  SET_FEATURES: on('u64', (session, { value }) => {
    session.features = subset('SET_FEATURES', value, session.profile.features);
    session.memory.logging = (value & bit(VHOST_F_LOG_ALL)) !== 0n;
    return undefined;
  }),

  GET_PROTOCOL_FEATURES: (session) => u64(session.profile.protocolFeatures),

  SET_PROTOCOL_FEATURES: on('u64', (session, { value }) => {
    session.protocolFeatures = subset('SET_PROTOCOL_FEATURES', value, session.profile.protocolFeatures);
    return undefined;
  }),

  GET_QUEUE_NUM: (session) => u64(BigInt(session.profile.queuePairs)),

  SET_OWNER: (session) => {
    session.owned = true;
    return undefined;
  },

  RESET_OWNER: (session) => {
    session.owned = false;
    return undefined;
  },

  RESET_DEVICE: (session) => {
    for (const ring of session.rings.values()) session.stopRing(ring);
    session.status = 0;
    return undefined;
  },

  SET_BACKEND_REQ_FD: (session, _payload, fds) => {
    session.openBackendChannel(fds.keep());
    return undefined;
  },

  SET_MEM_TABLE: on('memory', (session, { regions }, { fds }) => {
    session.memory.clear();
    regions.forEach((region, i) => {
      session.memory.add(region, fds[i]!);
    });
    return undefined;
  }),

  GET_MAX_MEM_SLOTS: (session) => u64(BigInt(session.profile.memSlots)),

  ADD_MEM_REG: on('memory-region', (session, { region }, { fds }) => {
    if (session.memory.size >= session.profile.memSlots)
      throw new PeerError('ERR_PROTOCOL', `ADD_MEM_REG beyond the ${session.profile.memSlots} slots offered`);
    session.memory.add(region, fds[0]!);
    return undefined;
  }),

  REM_MEM_REG: on('memory-region', (session, { region }) => {
    if (!session.memory.remove(region))
      throw new PeerError('ERR_PROTOCOL', 'REM_MEM_REG names a region that is not there');
    return undefined;
  }),

  SET_LOG_BASE: on('log', (session, { size, offset }, { fds }) => {
    if (fds[0] === undefined) throw new PeerError('ERR_FDS', 'SET_LOG_BASE came without the log');
    session.memory.setLog(fds[0], size, offset);
    // DPDK's vhost_user_set_log_base answers a u64 of 0 with or without NEED_REPLY; the spec asks for a reply with LOG_SHMFD.
    return u64(0n);
  }),

  // An eventfd that nobody reads on QEMU's side; taken and closed.
  SET_LOG_FD: () => undefined,

  SET_VRING_NUM: on('vring-state', (session, { index, num }) => {
    if (num === 0 || num > 32768 || (num & (num - 1)) !== 0)
      throw new PeerError('ERR_RING', `SET_VRING_NUM ${num} is not a power of two up to 32768`);
    session.ring(index).size = num;
    return undefined;
  }),

  SET_VRING_BASE: on('vring-state', (session, { index, num }) => {
    session.ring(index).base = num;
    return undefined;
  }),

  SET_VRING_ADDR: on('vring-addr', (session, { index, descUserAddr, availUserAddr, usedUserAddr }) => {
    session.ring(index).addresses = { desc: descUserAddr, avail: availUserAddr, used: usedUserAddr };
    return undefined;
  }),

  SET_VRING_KICK: ringFd((session, ring, fd) => {
    session.stopRing(ring);
    ring.kick = fd;
    session.startRing(ring);
    // Spec "Ring states": without protocol features a ring is enabled as soon as it is started.
    if ((session.features & bit(VHOST_USER_F_PROTOCOL_FEATURES)) === 0n) session.enableRing(ring, true);
  }),

  SET_VRING_CALL: ringFd((_session, ring, fd) => {
    ring.call?.close();
    ring.call = fd;
  }),

  SET_VRING_ERR: ringFd((_session, ring, fd) => {
    ring.err?.close();
    ring.err = fd;
  }),

  SET_VRING_ENABLE: on('vring-state', (session, { index, num }) => {
    session.enableRing(session.ring(index), num !== 0);
    return undefined;
  }),

  GET_VRING_BASE: on('vring-state', (session, { index }) => {
    const num = session.stopRing(session.ring(index));
    return { payload: { kind: 'vring-state', index, num } };
  }),

  SEND_RARP: () => undefined,

  NET_SET_MTU: on('u64', (session, { value }) => {
    session.mtu = Number(value);
    return undefined;
  }),

  GET_STATUS: (session) => u64(BigInt(session.status)),

  SET_STATUS: on('u64', (session, { value }) => {
    session.status = Number(value & 0xffn);
    return undefined;
  }),

  GET_INFLIGHT_FD: on('inflight', (session, { numQueues, queueSize }) => {
    // 16 bytes per descriptor is DPDK's rte_vhost_inflight_desc_split, rounded to pages per queue.
    const perQueue = (64n + 16n * BigInt(queueSize) + 4095n) & ~4095n;
    const size = perQueue * BigInt(numQueues);
    const fd = memfd('inflight', Number(size));
    session.setInflight(fd);
    return { payload: { kind: 'inflight', mmapSize: size, mmapOffset: 0n, numQueues, queueSize }, fds: [fd] };
  }),

  SET_INFLIGHT_FD: on('inflight', (session, _payload, fds) => {
    session.setInflight(fds.keep());
    return undefined;
  }),
} satisfies { [name in FrontEndName]?: Handler };
