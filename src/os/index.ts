/**
 * Linux: sockets that carry file descriptors, shared memory, eventfds, /proc. The only folder with foreign functions
 * (koffi).
 */
export { closeFd, dupFd, memfd, socketPair } from './descriptor.js';
export { OsError } from './error.js';
export { EventFd } from './eventfd.js';
export { type Host, host, prettyName } from './host.js';
export { limitDescriptors } from './limits.js';
export { type Listener, type ListenOptions, listenUnix } from './listener.js';
export type { Received } from './message.js';
export { type ErrorHandler, type Interest, type Poller, poller, type Readiness, type Watch } from './poller.js';
export {
  countFds,
  countThreads,
  eventFdId,
  listFds,
  type MainThreadTimes,
  type Memory,
  mainThreadTimes,
  memoryOf,
  parseUnixSockets,
  processCmdline,
  type UnixSocket,
  unixSockets,
} from './proc.js';
export { MappedRegion } from './region.js';
export { FdSocket } from './socket.js';
