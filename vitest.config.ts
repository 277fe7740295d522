import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real QEMUs and file-descriptor counts do not mix inside one process: every test file gets its own.
    pool: 'forks',
    // A twin or a QEMU each; most of their time they wait for real timers.
    maxConcurrency: 8,
    // What hangs is ended; how long a machine takes is no failure: the longest take half a minute on two idle cores.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // What is polled for is another process's doing, which may have to wait for a CPU.
    expect: { poll: { timeout: 30_000 } },
  },
});
