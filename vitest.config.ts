import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real QEMUs and file-descriptor counts do not mix inside one process: every test file gets its own.
    pool: 'forks',
    // A twin or a QEMU each; most of their time they wait for real timers.
    maxConcurrency: 8,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What is polled for is another process's doing, which may have to wait for a CPU.
    expect: { poll: { timeout: 30_000 } },
  },
});
