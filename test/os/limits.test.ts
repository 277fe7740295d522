import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { limitDescriptors, listFds, memoryOf } from '../../src/os/index.js';

it('limits the descriptors of another process, and gives the limit back', async () => {
  // It opens one more whenever it is told to, and says how that went.
  const shell = spawn('sh', [
    '-c',
    'while read _; do if (: </dev/null) 2>/dev/null; then echo yes; else echo no; fi; done',
  ]);
  const opens = async () => {
    shell.stdin.write('\n');
    return String((await once(shell.stdout, 'data'))[0]).trim();
  };
  try {
    expect(await opens()).toBe('yes');
    const before = limitDescriptors(
      shell.pid!,
      Math.min(...[0, 1, 2].filter((fd) => listFds(shell.pid!)!.includes(fd))),
    );
    expect(await opens()).toBe('no');
    expect(limitDescriptors(shell.pid!, before)).toBe(0);
    expect(await opens()).toBe('yes');
  } finally {
    shell.kill();
  }
});

it('says when the process is gone', () => {
  expect(() => limitDescriptors(2 ** 30, 10)).toThrow(expect.objectContaining({ code: 'ESRCH', call: 'prlimit' }));
  expect(listFds(2 ** 30)).toBeUndefined();
  expect(memoryOf(2 ** 30)).toBeUndefined();
});

it('sees memory that is touched as anonymous', () => {
  const before = memoryOf(process.pid)!;
  const block = Buffer.alloc(64 << 20, 1);
  const after = memoryOf(process.pid)!;
  expect(after.anonymous - before.anonymous).toBeGreaterThan(block.length / 2);
  expect(after.peak).toBeGreaterThanOrEqual(before.peak);
});
