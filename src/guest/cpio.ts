/** One entry of an archive. Parents come before what is in them. */
export type CpioEntry =
  | { path: string; kind: 'directory' }
  | { path: string; kind: 'file'; content: Buffer; executable?: boolean };

/** File types of st_mode (inode(7)). */
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
/** What ends an archive. */
const TRAILER = 'TRAILER!!!';

/**
 * An archive in the form that the kernel unpacks as its first file system: "newc" of Documentation/driver-api/early-userspace/
 * buffer-format.rst. Everything belongs to root and is of the same age, so that equal entries give equal bytes.
 * @param entries paths are relative, without a leading slash
 */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, i) => {
    const { path, kind } = entry;
    if (kind === 'directory') return member(path, { ino: i + 1, mode: S_IFDIR | 0o755, nlink: 2 }, Buffer.alloc(0));
    const mode = S_IFREG | (entry.executable ? 0o755 : 0o644);
    return member(path, { ino: i + 1, mode, nlink: 1 }, entry.content);
  });
  return Buffer.concat([...parts, ...member(TRAILER, { ino: 0, mode: 0, nlink: 1 }, Buffer.alloc(0))]);
}

/** Header, name and content, the latter two filled up to a multiple of four bytes. */
function member(path: string, { ino, mode, nlink }: { ino: number; mode: number; nlink: number }, content: Buffer) {
  const name = Buffer.from(`${path}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, device and rdevice of two numbers each, namesize, check
  const fields = [ino, mode, 0, 0, nlink, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`, 'latin1');
  return [header, name, padding(header.length + name.length), content, padding(content.length)];
}

const padding = (length: number): Buffer => Buffer.alloc(-length & 3);
