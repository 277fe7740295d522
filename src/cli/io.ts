import type { Tty } from '../drill/index.js';
import type { TextStream } from '../report/index.js';
import type { Settings } from './settings.js';

/** The world around a command, so that tests can be one. */
export interface Io {
  /** For the data that a command is asked for. */
  stdout: TextStream;
  /** For everything that is said beside it. */
  stderr: TextStream;
  env: NodeJS.ProcessEnv;
  cwd: string;
  /** Calls the listener at SIGINT and SIGTERM until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
  /** Calls the listener with each line of stdin; absent where there is none. */
  onLine?(listener: (line: string) => void): void;
  /** The terminal, for a screen of its own; absent where there is none. */
  tty?(): Tty;
  /** Ends the process at once: the second interrupt. */
  exitNow(code: number): void;
}

/** What every command gets. */
export interface Context {
  io: Io;
  /** From environment and configuration file: what options default to. */
  settings: Settings;
  /** Sets the exit code, which is 0 otherwise. */
  exit(code: number): void;
}

/** Exit codes; those of a run that came to its end are the runner's. `inconclusive` is also for bugs of the tester. */
export const EXIT = { ok: 0, failed: 1, usage: 2, severe: 3, inconclusive: 4, interrupted: 130 } as const;
