import { closeFd, EventFd, memfd, socketPair } from '../../src/os/index.js';
import type { FrontEndName, Payload } from '../../src/wire/index.js';
import type { Guest } from './guest.js';

/** A message of the front-end as a test sends it. */
export interface Sample {
  payload: Payload;
  /** Kind of each fd that goes with it. */
  fds: FdKind[];
}

export type FdKind = 'guest' | 'eventfd' | 'memfd' | 'socket';

const none: Payload = { kind: 'none' };
const u64 = (value: bigint): Payload => ({ kind: 'u64', value });
const state = (num: number): Payload => ({ kind: 'vring-state', index: 0, num });
const ringFd: Payload = { kind: 'vring-fd', index: 0, noFd: false };
const config: Payload = { kind: 'config', offset: 0, flags: 0, data: Buffer.alloc(8) };
const inflight: Payload = { kind: 'inflight', mmapSize: 8192n, mmapOffset: 0n, numQueues: 2, queueSize: 256 };

/** A sane message for every request of the table, as it may come once ring 0 is set up. */
export function samples(guest: Guest): Readonly<Record<FrontEndName, Sample>> {
  const just = (payload: Payload, ...fds: FdKind[]): Sample => ({ payload, fds });
  const region = guest.regions[0]!;
  return {
    GET_FEATURES: just(none),
    SET_FEATURES: just(u64(1n << 30n)),
    SET_OWNER: just(none),
    RESET_OWNER: just(none),
    SET_MEM_TABLE: just({ kind: 'memory', regions: [...guest.regions] }, 'guest', 'guest'),
    SET_LOG_BASE: just({ kind: 'log', size: 4096n, offset: 0n }, 'memfd'),
    SET_LOG_FD: just(none, 'eventfd'),
    SET_VRING_NUM: just(state(256)),
    SET_VRING_ADDR: just({
      kind: 'vring-addr',
      index: 0,
      flags: 0,
      ...guest.ring(0).addresses,
      logGuestAddr: 0n,
    }),
    SET_VRING_BASE: just(state(0)),
    GET_VRING_BASE: just(state(0)),
    SET_VRING_KICK: just(ringFd, 'eventfd'),
    SET_VRING_CALL: just(ringFd, 'eventfd'),
    SET_VRING_ERR: just(ringFd, 'eventfd'),
    GET_PROTOCOL_FEATURES: just(none),
    SET_PROTOCOL_FEATURES: just(u64(1n)),
    GET_QUEUE_NUM: just(none),
    SET_VRING_ENABLE: just(state(1)),
    SEND_RARP: just(u64(0x525400123456n)),
    NET_SET_MTU: just(u64(1500n)),
    SET_BACKEND_REQ_FD: just(none, 'socket'),
    IOTLB_MSG: just({ kind: 'iotlb', iova: 0n, size: 4096n, userAddr: 0n, permissions: 3, type: 2 }),
    SET_VRING_ENDIAN: just(state(0)),
    GET_CONFIG: just(config),
    SET_CONFIG: just(config),
    CREATE_CRYPTO_SESSION: just({ kind: 'opaque', bytes: Buffer.alloc(16) }),
    CLOSE_CRYPTO_SESSION: just(u64(1n)),
    POSTCOPY_ADVISE: just(none),
    POSTCOPY_LISTEN: just(none),
    POSTCOPY_END: just(none),
    GET_INFLIGHT_FD: just(inflight),
    SET_INFLIGHT_FD: just(inflight, 'memfd'),
    GPU_SET_SOCKET: just(none, 'socket'),
    RESET_DEVICE: just(none),
    VRING_KICK: just(state(0)),
    GET_MAX_MEM_SLOTS: just(none),
    ADD_MEM_REG: just({ kind: 'memory-region', region: { ...region, guestAddr: 1n << 40n } }, 'guest'),
    REM_MEM_REG: just({ kind: 'memory-region', region }),
    SET_STATUS: just(u64(0xfn)),
    GET_STATUS: just(none),
    GET_SHARED_OBJECT: just({ kind: 'shared-object', uuid: Buffer.alloc(16) }),
    SET_DEVICE_STATE_FD: just({ kind: 'device-state', direction: 0, phase: 0 }, 'memfd'),
    CHECK_DEVICE_STATE: just(none),
    GET_SHMEM_CONFIG: just(none),
  };
}

/** What the peer has no handler for, as no profile offers it: ignored, or refused where an answer is wanted. */
export const UNHANDLED: ReadonlySet<string> = new Set([
  'IOTLB_MSG',
  'SET_VRING_ENDIAN',
  'GET_CONFIG',
  'SET_CONFIG',
  'CREATE_CRYPTO_SESSION',
  'CLOSE_CRYPTO_SESSION',
  'POSTCOPY_ADVISE',
  'POSTCOPY_LISTEN',
  'POSTCOPY_END',
  'GPU_SET_SOCKET',
  'VRING_KICK',
  'GET_SHARED_OBJECT',
  'SET_DEVICE_STATE_FD',
  'CHECK_DEVICE_STATE',
  'GET_SHMEM_CONFIG',
] satisfies FrontEndName[]);

/** Opens fds of these kinds, passes them to `use`, closes them: sending makes copies. */
export function withFds<T>(guest: Guest, kinds: readonly FdKind[], use: (fds: number[]) => T): T {
  const opened: (() => void)[] = [];
  const open = (kind: FdKind): number => {
    switch (kind) {
      case 'guest':
        return guest.fd;
      case 'eventfd': {
        const event = EventFd.create();
        opened.push(() => event.close());
        return event.fd;
      }
      case 'memfd': {
        const fd = memfd('test', 8192);
        opened.push(() => closeFd(fd));
        return fd;
      }
      case 'socket': {
        const [a, b] = socketPair();
        opened.push(() => [a, b].forEach(closeFd));
        return a;
      }
    }
  };
  try {
    return use(kinds.map(open));
  } finally {
    for (const close of opened) close();
  }
}
