import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { main } from '../../src/cli/cli.js';
import type { Io } from '../../src/cli/io.js';

/** A world of its own for one command: streams that keep what was written, an empty folder, no environment. */
export class World implements Io {
  readonly cwd = mkdtempSync(join(tmpdir(), 'cli-'));
  env: NodeJS.ProcessEnv = {};
  out = '';
  err = '';
  exited: number | undefined;
  listeners: (() => void)[] = [];
  readonly stdout = { write: (text: string) => (this.out += text) };
  readonly stderr = { write: (text: string) => (this.err += text) };

  onInterrupt(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((one) => one !== listener);
    };
  }

  exitNow(code: number): void {
    this.exited = code;
  }

  interrupt(): void {
    for (const listener of this.listeners) listener();
  }

  run(...args: string[]): Promise<number> {
    return main(args, this);
  }
}

/** Makes worlds that are removed after each test. */
export function worlds(): () => World {
  const made: World[] = [];
  afterEach(() => {
    for (const { cwd } of made.splice(0)) rmSync(cwd, { recursive: true, force: true });
  });
  return () => {
    const world = new World();
    made.push(world);
    return world;
  };
}
