import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type GuestFiles, guestFiles } from '../guest/index.js';
import type { Io } from './io.js';
import { UsageError } from './usage-error.js';

/** What is to be said where there is none. */
export const NO_GUEST_HINT = 'make guest fetches one';

/** The folder that is named, or the one where `make guest` puts it. */
function folderOf(io: Io, given: string): string {
  const cache =
    io.env.VHOST_RECONNECT_CACHE ??
    join(io.env.XDG_CACHE_HOME ?? join(io.env.HOME ?? '/', '.cache'), 'vhost-reconnect');
  return given !== '' ? resolve(io.cwd, given) : (io.env.VHOST_RECONNECT_GUEST ?? join(cache, 'guest'));
}

const isGuest = (folder: string): boolean => existsSync(join(folder, 'vmlinuz'));

/** The guest that there is on this machine; undefined without one. */
export function findGuest(io: Io): GuestFiles | undefined {
  const folder = folderOf(io, '');
  return isGuest(folder) ? guestFiles(folder) : undefined;
}

/** The guest in a folder, where '' is the usual one. @throws UsageError ERR_USAGE when there is none */
export function demandGuest(io: Io, given: string): GuestFiles {
  const folder = folderOf(io, given);
  if (isGuest(folder)) return guestFiles(folder);
  throw new UsageError('ERR_USAGE', `there is no guest in ${folder}`, NO_GUEST_HINT);
}
