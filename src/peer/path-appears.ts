import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** A wait for a path. */
export interface PathWait {
  /** Resolves as soon as something is there, or when the wait was given up. */
  done: Promise<void>;
  giveUp(): void;
}

/** Waits until something is at `path`. Its directory must exist. */
export function pathAppears(path: string): PathWait {
  const watcher = watch(dirname(path));
  const done = new Promise<void>((resolve, reject) => {
    watcher.once('close', resolve);
    watcher.once('error', reject);
  });
  const look = () => {
    if (existsSync(path)) watcher.close();
  };
  watcher.on('change', look);
  // It may have come before the watch.
  look();
  return { done, giveUp: () => watcher.close() };
}
