import { OsError } from './error.js';

/** sizeof(sun_path) less the terminating zero (unix(7)). */
const MAX_PATH_BYTES = 107;

/** @throws OsError ENAMETOOLONG when no socket can have this path: node would cut it off or fail without saying why. */
export function checkPath(path: string, call: string): void {
  const length = Buffer.byteLength(path);
  if (length > MAX_PATH_BYTES) {
    throw new OsError('ENAMETOOLONG', call, `a socket's path has at most ${MAX_PATH_BYTES} bytes, this one ${length}`);
  }
}
