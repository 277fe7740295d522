import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { z } from 'zod';
import type { Json } from '../timeline/index.js';
import { DrillError } from './error.js';
import { PROTOCOL } from './server.js';

/** How a drill that runs on this machine is reached: the content of its control file, which only its user may read. */
export interface ControlFile {
  /** http://127.0.0.1:PORT/ or unix:PATH */
  address: string;
  token: string;
  pid: number;
}

const controlFile = z.object({ address: z.string(), token: z.string(), pid: z.int() });

/** Name of the control file in a drill's folder. */
export const CONTROL = 'control.json';

/** Reads a control file. @throws DrillError ERR_CONTROL */
export function readControl(file: string): ControlFile {
  try {
    return controlFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? 'it is no control file' : (cause as Error).message;
    throw new DrillError('ERR_CONTROL', `${file}: ${why}`, 'a drill that runs has one in its folder');
  }
}

/** The control file of the only drill that runs under a folder of reports. @throws DrillError ERR_CONTROL when there are none, or more */
export function findControl(reports: string): string {
  const files = list(reports)
    .map((name) => join(reports, name, CONTROL))
    .filter((file) => isAlive(file));
  if (files.length === 1) return files[0]!;
  if (files.length === 0)
    throw new DrillError('ERR_CONTROL', `no drill runs in ${reports}`, 'name its control file with --control');
  throw new DrillError(
    'ERR_CONTROL',
    `${files.length} drills run in ${reports}`,
    `choose with --control: ${files.join(', ')}`,
  );
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function isAlive(file: string): boolean {
  try {
    process.kill(readControl(file).pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What the server says: `hello`, `state`, `events`, `picture`, or the answer to a request. */
export type ServerMessage = Record<string, Json>;

/** A client of a drill's control protocol. */
export class ControlClient {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve(value: Json | undefined): void; reject(error: Error): void }>();
  /** Resolves when the connection ends, with the reason. */
  readonly closed: Promise<string>;
  #requests = 0;

  private constructor(socket: WebSocket, onMessage: (message: ServerMessage) => void) {
    this.#socket = socket;
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as ServerMessage;
      if (typeof message.id === 'number') this.#answer(message.id, message);
      else onMessage(message);
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', (_code, reason) => {
        for (const { reject } of this.#waiting.values())
          reject(new DrillError('ERR_CONTROL', `the connection ended: ${String(reason) || 'without a reason'}`));
        this.#waiting.clear();
        resolve(String(reason));
      });
    });
  }

  /** @param onMessage told what comes unasked @throws DrillError ERR_CONTROL */
  static async connect(
    { address, token }: Pick<ControlFile, 'address' | 'token'>,
    onMessage: (message: ServerMessage) => void = () => {},
  ): Promise<ControlClient> {
    const url = address.startsWith('unix:')
      ? `ws+unix:${address.slice('unix:'.length)}:/control`
      : `${address.replace(/^http/, 'ws')}control`;
    const socket = new WebSocket(url, [PROTOCOL, `token.${token}`], { perMessageDeflate: false });
    const client = new ControlClient(socket, onMessage);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', (cause) =>
        reject(
          new DrillError(
            'ERR_CONTROL',
            `${address}: ${cause.message}`,
            'does the drill run, and is the token its own?',
          ),
        ),
      );
    });
    socket.on('error', () => {});
    return client;
  }

  /** Asks for a verb. @throws DrillError with the server's code, message and hint; ERR_CONTROL when the connection ends, or has */
  ask(verb: string, params?: Json, port?: string): Promise<Json | undefined> {
    if (this.#socket.readyState !== WebSocket.OPEN)
      return Promise.reject(new DrillError('ERR_CONTROL', `${verb}: the connection has ended`, 'connect anew'));
    const id = ++this.#requests;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(
        JSON.stringify({
          id,
          verb,
          ...(port === undefined ? {} : { port }),
          ...(params === undefined ? {} : { params }),
        }),
      );
    });
  }

  close(): void {
    this.#socket.close();
  }

  #answer(id: number, { ok, result, error }: ServerMessage): void {
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (ok === true) waiter?.resolve(result);
    else {
      const { code, message, hint } = error as { code: DrillError['code']; message: string; hint?: string };
      waiter?.reject(new DrillError(code, message, hint));
    }
  }
}
