import type { FeatureName, ProtocolFeatureName } from './features.js';
import type { PayloadKind } from './layouts.js';

/** Who sends a request. The other side answers it. */
export type Side = 'front-end' | 'back-end';

/**
 * Fds that come with a message. `unless-bit-8`: one, unless bit 8 of the u64 says that there is none. `per-region`: one
 * for each memory region. `optional`: one or none; which of them is not for the message alone to say.
 */
export type FdRule = 'none' | 'one' | 'optional' | 'unless-bit-8' | 'per-region';

/**
 * When a request has a reply of its own. Any other is answered only where REPLY_ACK is negotiated and the request has
 * NEED_REPLY: with a u64, 0 for success. `log-shmfd`: always when LOG_SHMFD is negotiated. `postcopy`: always after
 * POSTCOPY_LISTEN, with the layout given; a u64 otherwise.
 */
export type ReplyRule = 'none' | 'always' | 'log-shmfd' | 'postcopy';

/** What a message carries. `or`: a second layout, told apart by its size. */
export interface Content {
  payload: PayloadKind;
  or?: PayloadKind;
  fds: FdRule;
}

/** One request of the protocol, and its reply. */
export interface MessageSpec<N extends string = string> {
  from: Side;
  id: number;
  /** The spec's name without `VHOST_USER_`: `GET_FEATURES`, `BACKEND_IOTLB_MSG`. */
  name: N;
  request: Content;
  reply: Content & { rule: ReplyRule };
  /** The feature that must be negotiated before the request may be sent. */
  needs?: ProtocolFeatureName | FeatureName;
  /** Section of the vhost-user spec that says what it is for. */
  section: string;
}

interface Row {
  payload?: PayloadKind;
  or?: PayloadKind;
  fds?: FdRule;
  reply?: Content & { rule: ReplyRule };
  needs?: ProtocolFeatureName | FeatureName;
  section?: string;
}

function row<N extends string>(from: Side, defaultSection: string, id: number, name: N, cells: Row): MessageSpec<N> {
  const { payload = 'none', or, fds = 'none', reply, needs, section = defaultSection } = cells;
  return {
    from,
    id,
    name,
    request: { payload, ...(or && { or }), fds },
    reply: reply ?? { rule: 'none', payload: 'u64', fds: 'none' },
    ...(needs && { needs }),
    section,
  };
}

/** A request of the front-end, without payload, fds and reply unless its cells say so. */
const f = <N extends string>(id: number, name: N, cells: Row = {}) =>
  row('front-end', 'Front-end message types', id, name, cells);
/** The same of the back-end. */
const b = <N extends string>(id: number, name: N, cells: Row = {}) =>
  row('back-end', 'Back-end message types', id, name, cells);

function always(payload: PayloadKind, rest: { or?: PayloadKind; fds?: FdRule } = {}): Content & { rule: ReplyRule } {
  return { rule: 'always', payload, fds: 'none', ...rest };
}

function postcopy(payload: PayloadKind): Content & { rule: ReplyRule } {
  return { rule: 'postcopy', payload, or: 'u64', fds: 'none' };
}

const frontEndTable = [
  f(1, 'GET_FEATURES', { reply: always('u64') }),
  f(2, 'SET_FEATURES', { payload: 'u64' }),
  f(3, 'SET_OWNER'),
  f(4, 'RESET_OWNER'),
  f(5, 'SET_MEM_TABLE', { payload: 'memory', fds: 'per-region', reply: postcopy('memory'), section: 'Memory access' }),
  // QEMU sends the log description always, and an fd with it where LOG_SHMFD is negotiated; the u64 is the older form.
  f(6, 'SET_LOG_BASE', {
    payload: 'log',
    or: 'u64',
    fds: 'optional',
    reply: { rule: 'log-shmfd', payload: 'u64', fds: 'none' },
    section: 'Migration',
  }),
  f(7, 'SET_LOG_FD', { fds: 'one', section: 'Migration' }),
  f(8, 'SET_VRING_NUM', { payload: 'vring-state' }),
  f(9, 'SET_VRING_ADDR', { payload: 'vring-addr' }),
  f(10, 'SET_VRING_BASE', { payload: 'vring-state' }),
  f(11, 'GET_VRING_BASE', { payload: 'vring-state', reply: always('vring-state'), section: 'Ring states' }),
  f(12, 'SET_VRING_KICK', { payload: 'vring-fd', fds: 'unless-bit-8', section: 'Ring states' }),
  f(13, 'SET_VRING_CALL', { payload: 'vring-fd', fds: 'unless-bit-8' }),
  f(14, 'SET_VRING_ERR', { payload: 'vring-fd', fds: 'unless-bit-8' }),
  f(15, 'GET_PROTOCOL_FEATURES', { reply: always('u64'), needs: 'VHOST_USER_F_PROTOCOL_FEATURES' }),
  f(16, 'SET_PROTOCOL_FEATURES', { payload: 'u64', needs: 'VHOST_USER_F_PROTOCOL_FEATURES' }),
  f(17, 'GET_QUEUE_NUM', {
    reply: always('u64'),
    needs: 'VHOST_USER_PROTOCOL_F_MQ',
    section: 'Multiple queue support',
  }),
  f(18, 'SET_VRING_ENABLE', {
    payload: 'vring-state',
    needs: 'VHOST_USER_F_PROTOCOL_FEATURES',
    section: 'Ring states',
  }),
  f(19, 'SEND_RARP', { payload: 'u64', needs: 'VHOST_USER_PROTOCOL_F_RARP' }),
  f(20, 'NET_SET_MTU', { payload: 'u64', needs: 'VHOST_USER_PROTOCOL_F_MTU' }),
  f(21, 'SET_BACKEND_REQ_FD', {
    fds: 'one',
    needs: 'VHOST_USER_PROTOCOL_F_BACKEND_REQ',
    section: 'Back-end communication',
  }),
  f(22, 'IOTLB_MSG', {
    payload: 'iotlb',
    reply: always('u64'),
    needs: 'VIRTIO_F_ACCESS_PLATFORM',
    section: 'IOMMU support',
  }),
  f(23, 'SET_VRING_ENDIAN', { payload: 'vring-state', needs: 'VHOST_USER_PROTOCOL_F_CROSS_ENDIAN' }),
  // A reply without payload reports failure.
  f(24, 'GET_CONFIG', {
    payload: 'config',
    reply: always('config', { or: 'none' }),
    needs: 'VHOST_USER_PROTOCOL_F_CONFIG',
  }),
  f(25, 'SET_CONFIG', { payload: 'config', needs: 'VHOST_USER_PROTOCOL_F_CONFIG' }),
  f(26, 'CREATE_CRYPTO_SESSION', {
    payload: 'opaque',
    reply: always('opaque'),
    needs: 'VHOST_USER_PROTOCOL_F_CRYPTO_SESSION',
  }),
  f(27, 'CLOSE_CRYPTO_SESSION', { payload: 'u64', needs: 'VHOST_USER_PROTOCOL_F_CRYPTO_SESSION' }),
  f(28, 'POSTCOPY_ADVISE', {
    reply: always('none', { fds: 'one' }),
    needs: 'VHOST_USER_PROTOCOL_F_PAGEFAULT',
    section: 'Migration',
  }),
  f(29, 'POSTCOPY_LISTEN', { needs: 'VHOST_USER_PROTOCOL_F_PAGEFAULT', section: 'Migration' }),
  f(30, 'POSTCOPY_END', {
    reply: always('u64'),
    needs: 'VHOST_USER_PROTOCOL_F_PAGEFAULT',
    section: 'Migration',
  }),
  f(31, 'GET_INFLIGHT_FD', {
    payload: 'inflight',
    reply: always('inflight', { fds: 'one' }),
    needs: 'VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD',
    section: 'Inflight I/O tracking',
  }),
  f(32, 'SET_INFLIGHT_FD', {
    payload: 'inflight',
    fds: 'one',
    needs: 'VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD',
    section: 'Inflight I/O tracking',
  }),
  f(33, 'GPU_SET_SOCKET', { fds: 'one' }),
  f(34, 'RESET_DEVICE', { needs: 'VHOST_USER_PROTOCOL_F_RESET_DEVICE' }),
  f(35, 'VRING_KICK', {
    payload: 'vring-state',
    needs: 'VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS',
    section: 'In-band notifications',
  }),
  f(36, 'GET_MAX_MEM_SLOTS', { reply: always('u64'), needs: 'VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS' }),
  f(37, 'ADD_MEM_REG', {
    payload: 'memory-region',
    fds: 'one',
    reply: postcopy('memory-region'),
    needs: 'VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS',
  }),
  // No fd should come with it; the spec lets older front-ends send one, to be closed unused.
  f(38, 'REM_MEM_REG', {
    payload: 'memory-region',
    fds: 'optional',
    needs: 'VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS',
  }),
  f(39, 'SET_STATUS', { payload: 'u64', needs: 'VHOST_USER_PROTOCOL_F_STATUS' }),
  f(40, 'GET_STATUS', { reply: always('u64'), needs: 'VHOST_USER_PROTOCOL_F_STATUS' }),
  f(41, 'GET_SHARED_OBJECT', {
    payload: 'shared-object',
    reply: always('none', { fds: 'optional' }),
    needs: 'VHOST_USER_PROTOCOL_F_SHARED_OBJECT',
  }),
  f(42, 'SET_DEVICE_STATE_FD', {
    payload: 'device-state',
    fds: 'one',
    reply: always('u64', { fds: 'unless-bit-8' }),
    needs: 'VHOST_USER_PROTOCOL_F_DEVICE_STATE',
    section: 'Migrating back-end state',
  }),
  f(43, 'CHECK_DEVICE_STATE', {
    reply: always('u64'),
    needs: 'VHOST_USER_PROTOCOL_F_DEVICE_STATE',
    section: 'Migrating back-end state',
  }),
  f(44, 'GET_SHMEM_CONFIG', { reply: always('shmem-config'), needs: 'VHOST_USER_PROTOCOL_F_SHMEM' }),
];

const backEndTable = [
  b(1, 'BACKEND_IOTLB_MSG', { payload: 'iotlb', needs: 'VIRTIO_F_ACCESS_PLATFORM', section: 'IOMMU support' }),
  b(2, 'BACKEND_CONFIG_CHANGE_MSG', { needs: 'VHOST_USER_PROTOCOL_F_CONFIG' }),
  b(3, 'BACKEND_VRING_HOST_NOTIFIER_MSG', {
    payload: 'vring-area',
    fds: 'unless-bit-8',
    needs: 'VHOST_USER_PROTOCOL_F_HOST_NOTIFIER',
  }),
  b(4, 'BACKEND_VRING_CALL', {
    payload: 'vring-state',
    needs: 'VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS',
    section: 'In-band notifications',
  }),
  b(5, 'BACKEND_VRING_ERR', {
    payload: 'vring-state',
    needs: 'VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS',
    section: 'In-band notifications',
  }),
  b(6, 'BACKEND_SHARED_OBJECT_ADD', { payload: 'shared-object', needs: 'VHOST_USER_PROTOCOL_F_SHARED_OBJECT' }),
  b(7, 'BACKEND_SHARED_OBJECT_REMOVE', { payload: 'shared-object', needs: 'VHOST_USER_PROTOCOL_F_SHARED_OBJECT' }),
  b(8, 'BACKEND_SHARED_OBJECT_LOOKUP', {
    payload: 'shared-object',
    reply: always('u64', { fds: 'optional' }),
    needs: 'VHOST_USER_PROTOCOL_F_SHARED_OBJECT',
  }),
  b(9, 'BACKEND_SHMEM_MAP', { payload: 'mmap', fds: 'one', needs: 'VHOST_USER_PROTOCOL_F_SHMEM' }),
  b(10, 'BACKEND_SHMEM_UNMAP', { payload: 'mmap', needs: 'VHOST_USER_PROTOCOL_F_SHMEM' }),
];

/** Name of a request of the front-end. */
export type FrontEndName = (typeof frontEndTable)[number]['name'];
/** Name of a request of the back-end. */
export type BackEndName = (typeof backEndTable)[number]['name'];

/** Every request that a front-end may send, by the vhost-user spec of QEMU 11.1, in the order of their numbers. */
export const frontEndRequests: readonly MessageSpec<FrontEndName>[] = frontEndTable;
/** Every request that a back-end may send on its own channel. */
export const backEndRequests: readonly MessageSpec<BackEndName>[] = backEndTable;

const all: readonly MessageSpec<FrontEndName | BackEndName>[] = [...frontEndRequests, ...backEndRequests];
const byId = new Map(all.map((spec) => [`${spec.from} ${spec.id}`, spec]));
const byName = new Map(all.map((spec) => [spec.name, spec]));

/** The request with this number, as sent by that side. */
export function specById(from: Side, id: number): MessageSpec<FrontEndName | BackEndName> | undefined {
  return byId.get(`${from} ${id}`);
}

/** The request of this name; names are unique across both sides. */
export function specByName<N extends FrontEndName | BackEndName>(name: N): MessageSpec<N> {
  return byName.get(name) as MessageSpec<N>;
}

/** The name of a request; `#99` when the spec has none. */
export function nameOf(from: Side, id: number): string {
  return specById(from, id)?.name ?? `#${id}`;
}
