import { createServer, type Socket } from 'node:net';
import { QemuError } from './qemu-error.js';

/** A socket of ours that one QEMU dials at its start. */
export interface Dialled {
  /** The connection. Stays pending when none comes. */
  socket: Promise<Socket>;
  /** Stops listening and removes the path; a connection that came stays open. */
  close(): void;
}

/** Listens on a unix socket for one connection. @throws QemuError ERR_QEMU_START, e.g. when the path is too long */
export async function awaitDial(path: string): Promise<Dialled> {
  const server = createServer();
  const socket = new Promise<Socket>((resolve) => {
    server.once('connection', (connection) => {
      server.close();
      resolve(connection);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new QemuError('ERR_QEMU_START', `cannot listen on ${path}: ${cause.message}`, 'is it free?', { cause })),
    );
    server.listen(path, resolve);
  });
  return { socket, close: () => server.close() };
}
