import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { boundedRun } from './bounded-run.js';

/** Which build of QEMU a binary is, beyond its version. */
export interface QemuIdentity {
  /** SHA-256 of the binary, in hex; null where it may be executed but not read. */
  sha256: string | null;
  /** The linker's build id (NT_GNU_BUILD_ID), in hex; null where the binary has none. */
  buildId: string | null;
  /** Name and version of the package that the file belongs to, by dpkg or rpm; null where none owns it. */
  package: string | null;
}

/** A package manager answers within a second; a cold disk and a loaded machine are allowed for. */
const PACKAGE_MS = 30_000;

/** Looks at the file itself; QEMU is not started. What cannot be found out is null. */
export async function identify(binary: string): Promise<QemuIdentity> {
  const [sha256 = null, buildId = null, owner = null] = await Promise.all(
    [hashOf, buildIdOf, packageOf].map((find) => find(binary).catch(() => null)),
  );
  return { sha256, buildId, package: owner };
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

const PT_NOTE = 4;
const NT_GNU_BUILD_ID = 3;
/** No header or note of a real binary is larger. */
const MAX_BYTES = 1 << 20;

/** The build id of a 64-bit little-endian ELF file (elf(5), "Notes"); null for anything else. */
export async function buildIdOf(path: string): Promise<string | null> {
  const file = await open(path);
  try {
    const read = async (position: number, length: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(length, MAX_BYTES)), { position });
      return buffer.subarray(0, bytesRead);
    };
    const header = await read(0, 64);
    // \x7fELF, ELFCLASS64, ELFDATA2LSB.
    if (header.length < 64 || header.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return null;
    const [size, count] = [header.readUInt16LE(54), header.readUInt16LE(56)];
    const table = await read(Number(header.readBigUInt64LE(32)), size * count);
    for (let at = 0; size >= 56 && at + size <= table.length; at += size) {
      if (table.readUInt32LE(at) !== PT_NOTE) continue;
      const notes = await read(Number(table.readBigUInt64LE(at + 8)), Number(table.readBigUInt64LE(at + 32)));
      const id = buildIdIn(notes, Number(table.readBigUInt64LE(at + 48)) === 8 ? 8 : 4);
      if (id !== undefined) return id;
    }
    return null;
  } finally {
    await file.close();
  }
}

function buildIdIn(notes: Buffer, alignment: number): string | undefined {
  const padded = (length: number) => Math.ceil(length / alignment) * alignment;
  for (let at = 0; at + 12 <= notes.length; ) {
    const [nameSize, size] = [notes.readUInt32LE(at), notes.readUInt32LE(at + 4)];
    const content = at + padded(12 + nameSize);
    if (notes.readUInt32LE(at + 8) === NT_GNU_BUILD_ID && notes.toString('latin1', at + 12, at + 16) === 'GNU\0')
      return notes.toString('hex', content, content + size);
    at = content + padded(size);
  }
  return undefined;
}

async function packageOf(file: string): Promise<string | null> {
  const say = async (...argv: [string, ...string[]]) => {
    const run = await boundedRun(argv, { timeMs: PACKAGE_MS, env: { LC_ALL: 'C' } }).catch(() => undefined);
    return run?.code === 0 ? run.stdout : '';
  };
  // Package databases know the path under which a file was installed, not every link to it.
  for (const path of new Set([file, await realpath(file)])) {
    // "qemu-system-x86: /usr/bin/qemu-system-x86_64"
    const name = /^([^\s,:]+(?::\w+)?)(?:,.*)?: /.exec(await say('dpkg-query', '-S', path))?.[1];
    if (name !== undefined) {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
      const line = await say('dpkg-query', '-W', '-f', '${Package} ${Version}\n', name);
      return line.split('\n')[0] || name;
    }
    const rpm = await say('rpm', '-qf', '--qf', '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n', path);
    if (rpm !== '') return rpm.split('\n')[0]!;
  }
  return null;
}
