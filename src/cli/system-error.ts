/** What a code of the file system means to somebody who gave a path. */
const words: Record<string, string> = {
  EACCES: 'permission denied',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'a file is in the way',
  EISDIR: 'it is a folder',
  ENOENT: 'there is none',
  ENOSPC: 'no space is left',
  ENOTDIR: 'a file is in the way',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
};

/** The error of a system call for people: `permission denied (EACCES)`. */
export function systemReason({ code = 'unknown error' }: NodeJS.ErrnoException): string {
  return words[code] ? `${words[code]} (${code})` : code;
}
