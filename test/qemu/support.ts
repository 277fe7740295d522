import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { neededTypes } from '../../src/qemu/facts.js';
import type { QemuFacts } from '../../src/qemu/index.js';

/** A directory that is gone after the test. */
export async function scratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'vr-test-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** An executable script; `body` starts with its interpreter or is for /bin/sh. */
export async function script(body: string, name = 'fake-qemu'): Promise<string> {
  const path = join(await scratch(), name);
  await writeFile(path, body.startsWith('#!') ? body : `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

/** Facts of a QEMU that does not exist. */
export function facts(changes: Partial<QemuFacts> = {}): QemuFacts {
  return {
    path: '/opt/qemu',
    version: '9.2.0',
    binary: '/usr/bin/qemu-system-x86_64',
    versionText: 'QEMU emulator version 9.2.0',
    machines: new Set(['q35', 'pc', 'microvm', 'none']),
    accelerators: new Set(['tcg', 'kvm']),
    reconnectOption: 'reconnect-ms',
    chardevOptions: new Set(['path', 'server', 'wait', 'reconnect', 'reconnect-ms']),
    types: new Set(neededTypes),
    qtest: true,
    ...changes,
  };
}

/** Waits until `test` holds; the deadline is far beyond what a slow machine needs. */
export async function eventually(test: () => boolean, deadlineMs = 30_000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!test()) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${test}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
