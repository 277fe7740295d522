import { once } from 'node:events';
import { Socket } from 'node:net';
import { closeFd, dupFd } from './descriptor.js';
import { OsError } from './error.js';
import { libc, must, NativeBuffer } from './libc.js';
import { MAX_FDS, type Peeked, peekMessage, type Received, receiveMessage, sendMessage } from './message.js';
import { checkPath } from './path.js';
import { poller, type Readiness, type Watch } from './poller.js';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const FIONREAD = 0x541b;
const SIOCOUTQ = 0x5411;
const SHUT_RDWR = 2;

/** One read when bytes are thrown away. */
const DISCARD_BYTES = 4096;

const credentials = new NativeBuffer(12);
const word = new NativeBuffer(4);

/** Bytes that the socket did not take yet, with our own copies of the descriptors that go with their first byte. */
interface Pending {
  bytes: Buffer;
  fds: number[];
}

/**
 * A connected AF_UNIX stream socket whose messages carry file descriptors. node:net made the connection and owns the
 * descriptor, but never reads or writes: libuv would drop the descriptors that come with the bytes.
 */
export class FdSocket {
  /** The process at the other end by SO_PEERCRED: the one that called connect(2), or for a dialled socket listen(2). */
  readonly peerPid: number;
  readonly #release: () => void;
  readonly #queue: Pending[] = [];
  #fd: number;
  #watch: Watch | undefined;
  #reading = false;
  #readable: () => void = () => {};
  #error: ((error: unknown) => void) | undefined;

  private constructor(fd: number, release: () => void) {
    this.#fd = fd;
    this.#release = release;
    this.peerPid = peerPidOf(fd);
  }

  /**
   * Takes over a connection that node:net made and has not read from: accepted with `pauseOnConnect`, or dialled while
   * paused.
   *
   * @throws OsError EINVAL when it is read by node or not connected.
   */
  static adopt(socket: Socket): FdSocket {
    const adopted = new FdSocket(handleFd(socket), () => socket.destroy());
    socket.on('error', (error) => adopted.#report(error));
    return adopted;
  }

  /** Takes over a connected socket by its descriptor, e.g. one end of a pair, or one that came with a message. */
  static fromFd(fd: number): FdSocket {
    return new FdSocket(fd, () => closeFd(fd));
  }

  /**
   * Connects to a listening socket.
   *
   * @throws OsError ENOENT: nothing at `path`; ECONNREFUSED: nobody listens there; EAGAIN: the backlog is full; the
   * signal's reason when it was aborted.
   */
  static async dial(path: string, { signal }: { signal?: AbortSignal } = {}): Promise<FdSocket> {
    signal?.throwIfAborted();
    checkPath(path, 'connect');
    const socket = new Socket();
    socket.pause();
    try {
      const connected = once(socket, 'connect', signal && { signal });
      socket.connect(path);
      await connected;
      return FdSocket.adopt(socket);
    } catch (error) {
      socket.destroy();
      signal?.throwIfAborted();
      throw error instanceof OsError
        ? error
        : new OsError((error as NodeJS.ErrnoException).code ?? 'EIO', 'connect', path);
    }
  }

  /** The descriptor, for looking at only; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#fd === -1;
  }

  /**
   * Calls `callback` while there is something to receive: bytes, the end, or an error. It is called again and again as
   * long as it leaves that there. What it throws goes to `onError`. Only a socket that is read keeps the process alive.
   */
  onReadable(callback: () => void): void {
    this.#assertOpen('epoll_ctl');
    this.#readable = callback;
    this.#reading = true;
    this.#update();
  }

  /** No more calls until the next `onReadable`; not even the end of the connection is told. */
  pauseReading(): void {
    this.#reading = false;
    this.#update();
  }

  /**
   * Told what went wrong outside of a call: a send that failed (an OsError, e.g. EPIPE), or what the callback of
   * `onReadable` threw. Never called from within `send`. Without a handler a failed send is dropped, for the end of the
   * connection is seen by reading anyway, and a throw is an uncaught exception.
   */
  onError(callback: (error: unknown) => void): void {
    this.#error = callback;
  }

  /** Receives at most `max` bytes, without waiting; see `receiveMessage` for the errors and why `max` matters. */
  receive(max: number): Received {
    this.#assertOpen('recvmsg');
    return receiveMessage(this.#fd, max);
  }

  /** The next bytes, at most `max`, which stay there with their descriptors; see `peekMessage`. */
  peek(max: number): Peeked {
    this.#assertOpen('recvmsg');
    return peekMessage(this.#fd, max);
  }

  /**
   * Ends the connection in both directions and throws away what was not read, so that the other end finds it closed and not
   * reset, whatever it had sent by then. `close` is still to be called.
   */
  hangUp(): void {
    this.#assertOpen('shutdown');
    this.pauseReading();
    // Nothing can arrive from here on. One that is not connected any more has ended already.
    libc.shutdown(this.#fd, SHUT_RDWR);
    for (;;) {
      const received = this.#receiveLast();
      if (received === 'again' || received === 'eof') return;
      for (const fd of received.fds) closeFd(fd);
    }
  }

  /** What is left of a connection that may be reset. */
  #receiveLast(): Received {
    try {
      return receiveMessage(this.#fd, DISCARD_BYTES);
    } catch (error) {
      if (error instanceof OsError && isConnectionLoss(error)) return 'eof';
      throw error;
    }
  }

  /**
   * Sends `bytes` with `fds` attached to the first of them, in order, without waiting: what the socket does not take
   * now goes when it can. The caller keeps `bytes` and `fds`. A connection that is gone is told to `onError`.
   *
   * @throws OsError for what is the caller's fault: EBADF, EINVAL.
   */
  send(bytes: Buffer, fds: readonly number[] = []): void {
    this.#assertOpen('sendmsg');
    if (fds.length > MAX_FDS || (bytes.length === 0 && fds.length > 0)) {
      throw new OsError('EINVAL', 'sendmsg', `${fds.length} descriptors with ${bytes.length} bytes`);
    }
    if (bytes.length === 0) return;
    try {
      const sent = this.#queue.length === 0 ? sendMessage(this.#fd, bytes, fds) : 0;
      if (sent < bytes.length) this.#enqueue(bytes.subarray(sent), sent === 0 ? fds : []);
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      this.#fail(error);
    }
  }

  /**
   * Bytes received by the kernel and not read yet. Closing while there are some gives the other end ECONNRESET instead
   * of EOF.
   */
  unread(): number {
    this.#assertOpen('ioctl');
    must(libc.ioctl(this.#fd, FIONREAD, 'uint64_t', word.address), 'ioctl');
    return word.bytes.readInt32LE(0);
  }

  /** Whether the other end has read all that was sent. What waits to be sent was not. */
  taken(): boolean {
    this.#assertOpen('ioctl');
    // af_unix counts memory, not bytes, which is nothing exactly when all was read (unix_outq_len).
    must(libc.ioctl(this.#fd, SIOCOUTQ, 'uint64_t', word.address), 'ioctl');
    return this.#queue.length === 0 && word.bytes.readInt32LE(0) === 0;
  }

  /** Closes the connection; idempotent. What `send` could not hand over yet is lost. */
  close(): void {
    if (this.closed) return;
    this.#watch?.close();
    this.#dropQueue();
    this.#fd = -1;
    this.#release();
  }

  #enqueue(bytes: Buffer, fds: readonly number[]): void {
    this.#queue.push({ bytes: Buffer.from(bytes), fds: dupAll(fds) });
    this.#update();
  }

  #flush(): void {
    try {
      for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
        const sent = sendMessage(this.#fd, next.bytes, next.fds);
        if (sent === 0) break;
        for (const fd of next.fds.splice(0)) closeFd(fd);
        if (sent < next.bytes.length) next.bytes = next.bytes.subarray(sent);
        else this.#queue.shift();
      }
    } catch (error) {
      this.#dropQueue();
      this.#fail(error);
    }
    this.#update();
  }

  #dropQueue(): void {
    for (const { fds } of this.#queue.splice(0)) for (const fd of fds) closeFd(fd);
  }

  #update(): void {
    if (this.closed) return;
    const interest = { readable: this.#reading, writable: this.#queue.length > 0 };
    if (this.#watch) this.#watch.modify(interest);
    else
      this.#watch = poller.watch(
        this.#fd,
        interest,
        (ready) => this.#ready(ready),
        (error) => this.#report(error),
      );
  }

  #ready({ readable, writable, hangup, error }: Readiness): void {
    if (this.#queue.length > 0 && (writable || hangup || error)) this.#flush();
    if (this.#reading && (readable || hangup || error)) this.#readable();
  }

  /** Reports a failed send, later: the caller of `send` must not find itself in its own error handler. */
  #fail(error: unknown): void {
    process.nextTick(() => {
      if (!this.closed) this.#error?.(error);
    });
  }

  #report(error: unknown): void {
    if (this.#error === undefined) throw error;
    this.#error(error);
  }

  #assertOpen(call: string): void {
    if (this.closed) throw new OsError('EBADF', call, 'the socket is closed');
  }
}

function dupAll(fds: readonly number[]): number[] {
  const copies: number[] = [];
  try {
    for (const fd of fds) copies.push(dupFd(fd));
    return copies;
  } catch (error) {
    for (const fd of copies) closeFd(fd);
    throw error;
  }
}

function isConnectionLoss(error: unknown): boolean {
  return (
    error instanceof OsError && (error.code === 'EPIPE' || error.code === 'ECONNRESET' || error.code === 'ENOTCONN')
  );
}

/** The descriptor of a node socket. Node has no documented way to it, so this is the one place that looks inside. */
function handleFd(socket: Socket): number {
  const handle = (socket as unknown as { _handle?: { fd?: unknown } })._handle;
  if (typeof handle?.fd !== 'number' || handle.fd < 0) {
    throw new OsError('EINVAL', 'adopt', 'the socket is not connected, or this version of node hides its descriptor');
  }
  if (!socket.isPaused() || socket.bytesRead > 0) {
    throw new OsError(
      'EINVAL',
      'adopt',
      'node reads this socket; accept with pauseOnConnect, pause() before connecting',
    );
  }
  return handle.fd;
}

function peerPidOf(fd: number): number {
  word.bytes.writeUInt32LE(credentials.bytes.length, 0);
  must(libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials.address, word.address), 'getsockopt');
  return credentials.bytes.readInt32LE(0);
}
