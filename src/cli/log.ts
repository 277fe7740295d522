import { dirname, resolve } from 'node:path';
import { type Logger, pino } from 'pino';
import type { Reporter } from '../runner/index.js';
import type { Io } from './io.js';
import { makeFolder } from './out.js';
import { systemReason } from './system-error.js';
import { UsageError } from './usage-error.js';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * The log of the tester's own doings, JSON lines: into a file, or to stderr. Never to stdout.
 * @throws UsageError ERR_OUT when the file cannot be written
 */
export function openLog(io: Io, level: LogLevel, file?: string): Logger {
  if (file === undefined) return pino({ level, base: null }, { write: (line: string) => void io.stderr.write(line) });
  const path = resolve(io.cwd, file);
  try {
    makeFolder(dirname(path));
    // Synchronous: the last lines before a crash are the ones that matter.
    return pino({ level, base: null }, pino.destination({ dest: path, sync: true }));
  } catch (error) {
    const reason = systemReason(error as NodeJS.ErrnoException);
    throw new UsageError('ERR_OUT', `cannot write the log ${path}: ${reason}`, 'choose another file with --log', {
      cause: error,
    });
  }
}

/** Tells the log how a run goes. */
export function logReporter(log: Logger): Reporter {
  return {
    onStart: (plan) => log.info(plan, 'run starts'),
    onVariantStart: ({ id }) => log.debug({ variant: id }, 'variant starts'),
    onVariantEnd: ({ variant, verdict, kind, reason, durationMs }) =>
      log.info({ variant, verdict, kind, reason, durationMs }, 'variant ended'),
    onEnd: ({ summary, durationMs, exitCode }) => log.info({ summary, durationMs, exitCode }, 'run ended'),
  };
}
