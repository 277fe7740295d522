import { readFile } from 'node:fs/promises';
import { arch, availableParallelism, cpus, release } from 'node:os';

/** The machine that the tester runs on, as far as it bears on what QEMU does. */
export interface Host {
  /** Release of the kernel, as `uname -r` prints it. */
  kernel: string;
  /** PRETTY_NAME of os-release(5); null where there is none. */
  distribution: string | null;
  /** `x64`, `arm64`; Node's word. */
  architecture: string;
  /** Model of the first CPU; null where the kernel does not tell. */
  cpu: string | null;
  /** CPUs that the tester may use. */
  cpus: number;
}

/** Looks at the machine. */
export async function host(): Promise<Host> {
  const cpu = cpus()[0]?.model.trim();
  return {
    kernel: release(),
    distribution: await distribution(),
    architecture: arch(),
    cpu: cpu ? cpu : null,
    cpus: availableParallelism(),
  };
}

async function distribution(): Promise<string | null> {
  for (const file of ['/etc/os-release', '/usr/lib/os-release']) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const name = prettyName(text);
    if (name !== undefined) return name;
  }
  return null;
}

/** The PRETTY_NAME of an os-release file; its values are quoted as a shell's are. */
export function prettyName(text: string): string | undefined {
  const value = /^PRETTY_NAME=(.*)$/m.exec(text)?.[1]?.trim();
  if (!value) return undefined;
  const inner = /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
  return inner.replace(/\\(["'$`\\])/g, '$1');
}
