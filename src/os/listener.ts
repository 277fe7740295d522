import { once } from 'node:events';
import { lstatSync, unlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { closeFd, dupFd, unixSocket } from './descriptor.js';
import { OsError } from './error.js';
import { libc, must, NativeBuffer } from './libc.js';
import { checkPath } from './path.js';
import { FdSocket } from './socket.js';

const AF_UNIX = 1;
/** MAX_VIRTIO_BACKLOG of DPDK (lib/vhost/socket.c). */
const DEFAULT_BACKLOG = 128;

/** struct sockaddr_un. */
const address = new NativeBuffer(110);

/** A listening socket. */
export interface Listener {
  readonly path: string;
  /**
   * Takes no connection from its backlog any more, which from now on has room for `backlog` and one more. The path and what
   * waits there stay.
   * @throws OsError EBADF: it is closed
   */
  pause(backlog: number): void;
  /** Takes connections again, those first that have waited longest, with the backlog that it had at first. @throws OsError EBADF */
  resume(): void;
  /**
   * Stops listening; established connections live on, connections in the backlog are reset. The path stays behind as a
   * stale socket file: a dial gets ECONNREFUSED, ENOENT once the caller has unlinked it.
   */
  close(): Promise<void>;
}

export interface ListenOptions {
  /** Connections that the kernel completes before they are accepted; further dials get EAGAIN or wait. */
  backlog?: number;
  /** Removes a socket that is at the path already, stale or not. Without it that is EADDRINUSE. */
  replace?: boolean;
}

/**
 * Listens at `path` and hands over each accepted connection, unread. What `onConnection` throws is an uncaught
 * exception.
 *
 * The socket is bound here and given to node:net as a descriptor: node unlinks on close only what it has bound itself.
 *
 * @throws OsError EADDRINUSE: something is at the path; ENOENT, EACCES: its directory; ENAMETOOLONG.
 */
export async function listenUnix(
  path: string,
  onConnection: (socket: FdSocket) => void,
  { backlog = DEFAULT_BACKLOG, replace = false }: ListenOptions = {},
): Promise<Listener> {
  checkPath(path, 'bind');
  if (replace && lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
  let fd = unixSocket();
  try {
    bind(fd, path);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  const serve = (): Server => {
    const server = createServer({ pauseOnConnect: true }, (socket) => onConnection(FdSocket.adopt(socket)));
    return server.listen({ fd }, backlog);
  };
  // It owns the descriptor, and closes it at once with itself; its own callback would wait for the end of all connections.
  let server: Server | undefined = serve();
  await once(server, 'listening');
  let open = true;
  const needsOpen = () => {
    if (!open) throw new OsError('EBADF', 'listen', path);
  };
  return {
    path,
    pause(room) {
      needsOpen();
      if (server) {
        fd = dupFd(fd);
        server.close();
        server = undefined;
      }
      must(libc.listen(fd, room), 'listen', path);
    },
    resume() {
      needsOpen();
      server ??= serve();
    },
    async close() {
      if (!open) return;
      open = false;
      if (server) server.close();
      else closeFd(fd);
    },
  };
}

function bind(fd: number, path: string): void {
  address.bytes.fill(0).writeUInt16LE(AF_UNIX, 0);
  address.bytes.write(path, 2);
  must(libc.bind(fd, address.address, address.bytes.length), 'bind', path);
}
