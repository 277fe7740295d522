#!/usr/bin/env node
import { createInterface } from 'node:readline';
import type { Io } from './io.js';

const EXIT_USAGE = 2;

/** A reader that has seen enough (`| head`) is no error, and no reason to end a run: its reports and exit code count. */
let lost: NodeJS.ErrnoException | undefined;
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // What is said on stderr is talk.
    if (error.code === 'EPIPE' || stream === process.stderr || lost) return;
    lost = error;
    process.exitCode = EXIT_USAGE;
    process.stderr.write(`vhost-reconnect: cannot write to stdout: ${error.code}\n`);
  });

const io: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  onInterrupt(listener) {
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.on(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  },
  onLine(listener) {
    // What is to end the process is not kept from it by an open stdin.
    process.stdin.on('error', () => {});
    createInterface({ input: process.stdin }).on('line', listener);
    (process.stdin as unknown as { unref?(): void }).unref?.();
  },
  ...(process.stdin.isTTY && process.stdout.isTTY
    ? {
        tty: () => ({
          write: (text) => void process.stdout.write(text),
          get columns() {
            return process.stdout.columns;
          },
          get rows() {
            return process.stdout.rows;
          },
          onKey(listener) {
            const keys = (data: string) => {
              for (const key of data) listener(key);
            };
            process.stdin.setRawMode(true).setEncoding('utf8').on('data', keys).resume();
            return () => {
              process.stdin.off('data', keys).setRawMode(false).pause();
            };
          },
        }),
      }
    : {}),
  exitNow: (code) => process.exit(code),
};

/** Loaded late: the native library fails to load on a platform that it was not built for, and that needs words. */
async function load(): Promise<typeof import('./cli.js') | undefined> {
  try {
    return await import('./cli.js');
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    io.stderr.write(`vhost-reconnect: it cannot run here: ${message} (Linux with Node.js 20.19 or newer is needed)\n`);
    return undefined;
  }
}

const cli = await load();
const code = cli ? await cli.main(process.argv.slice(2), io) : EXIT_USAGE;
process.exitCode = lost ? EXIT_USAGE : code;
