import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildIdOf, findQemu, identify, probe } from '../../src/qemu/index.js';

const dir = mkdtempSync(join(tmpdir(), 'identity-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** The smallest ELF file with notes: header, one program header, notes. */
function elf(notes: Buffer, { alignment = 4, header = '\x7fELF\x02\x01' } = {}): Buffer {
  const file = Buffer.alloc(64 + 56);
  file.write(header, 'latin1');
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(4, 64);
  file.writeBigUInt64LE(120n, 64 + 8);
  file.writeBigUInt64LE(BigInt(notes.length), 64 + 32);
  file.writeBigUInt64LE(BigInt(alignment), 64 + 48);
  return Buffer.concat([file, notes]);
}

function note(type: number, name: string, content: string): Buffer {
  const head = Buffer.alloc(12);
  const padded = Buffer.from(`${name}\0`.padEnd(Math.ceil((name.length + 1) / 4) * 4, '\0'));
  const bytes = Buffer.from(content, 'hex');
  head.writeUInt32LE(name.length + 1, 0);
  head.writeUInt32LE(bytes.length, 4);
  head.writeUInt32LE(type, 8);
  return Buffer.concat([head, padded, bytes, Buffer.alloc(-bytes.length & 3)]);
}

async function idOf(content: Buffer): Promise<string | null> {
  const path = join(dir, 'file');
  writeFileSync(path, content);
  return buildIdOf(path);
}

describe('the build id', () => {
  it('is found behind other notes', async () => {
    const notes = Buffer.concat([note(1, 'GNU', '00112233'), note(3, 'Other', 'aabbcc'), note(3, 'GNU', 'deadbeef01')]);
    expect(await idOf(elf(notes))).toBe('deadbeef01');
  });

  it.each([
    ['no ELF file', Buffer.from('#!/bin/sh\nexec qemu-system-x86_64 "$@"\n'.padEnd(200))],
    ['an empty file', Buffer.alloc(0)],
    ['a 32-bit file', elf(note(3, 'GNU', 'aa'), { header: '\x7fELF\x01\x01' })],
    ['notes without one', elf(note(1, 'GNU', '00112233'))],
    ['notes that are cut off', elf(note(3, 'GNU', 'aabb')).subarray(0, 126)],
  ])('is null for %s', async (_, content) => {
    expect(await idOf(content)).toBeNull();
  });
});

describe('a QEMU', () => {
  it('is identified as other tools identify it', async () => {
    const path = await findQemu();
    const { sha256, buildId, package: owner } = await identify(path);
    expect(sha256).toBe(createHash('sha256').update(readFileSync(path)).digest('hex'));
    if (existsSync('/usr/bin/file')) {
      const told = execFileSync('file', ['-L', path], { encoding: 'utf8' });
      expect(buildId).toBe(/BuildID\[sha1\]=([0-9a-f]+)/.exec(told)?.[1] ?? null);
    }
    expect(owner === null || /^\S+ \S+$/.test(owner)).toBe(true);
  });

  it('that cannot be read is unknown, and no trouble', async () => {
    expect(await identify(join(dir, 'nowhere'))).toEqual({ sha256: null, buildId: null, package: null });
  });

  it('behind a script is the binary that the script executes', async () => {
    const real = await findQemu();
    const script = join(dir, 'script');
    writeFileSync(script, `#!/bin/sh\nexec '${real}' "$@"\n`);
    chmodSync(script, 0o755);
    expect(await probe(script)).toMatchObject({ path: script, binary: real });
  });
});
