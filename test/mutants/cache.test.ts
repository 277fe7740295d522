import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheDir, demandSpace, lockFolder, readIfThere, writeWhole } from './cache.js';
import { Interrupted } from './commands.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vhost-reconnect-cache-'));
});
afterEach(() => rm(dir, { recursive: true }));

it.each([
  [{ VHOST_RECONNECT_CACHE: 'c', XDG_CACHE_HOME: '/x' }, '/w/c'],
  [{ VHOST_RECONNECT_CACHE: '', XDG_CACHE_HOME: '/x' }, '/x/vhost-reconnect'],
  [{ XDG_CACHE_HOME: '' }, expect.stringMatching(/\/\.cache\/vhost-reconnect$/)],
])('the cache is where %j says', (env, expected) => {
  expect(cacheDir(env, '/w')).toEqual(expected);
});

it('a file is written whole, with its folder, and read if it is there', async () => {
  const path = join(dir, 'a/b');
  expect(await readIfThere(path)).toBeUndefined();
  await writeWhole(path, 'text');
  await writeWhole(path, 'other');
  expect(await readIfThere(path)).toBe('other');
  expect(await readdir(join(dir, 'a'))).toEqual(['b']);
});

it('a file that cannot be put in place leaves nothing', async () => {
  await writeWhole(join(dir, 'a/b'), 'text');
  await expect(writeWhole(join(dir, 'a'), 'text')).rejects.toMatchObject({ syscall: 'rename' });
  expect(await readdir(dir)).toEqual(['a']);
  expect(await readFile(join(dir, 'a/b'), 'utf8')).toBe('text');
});

describe('space', () => {
  it('that is there is enough', async () => {
    await expect(demandSpace(dir, 0)).resolves.toBeUndefined();
  });

  it('that is not there is told with both figures', async () => {
    await expect(demandSpace(dir, 1e12)).rejects.toThrow(/^1000000000000 MB are needed in .*, \d+ MB are free$/);
  });
});

describe('the lock', () => {
  const never = new AbortController().signal;

  it('is had by one at a time', async () => {
    const first = await lockFolder(dir, never, () => expect.unreachable());
    let order = '';
    let second: Promise<void> | undefined;
    await new Promise<void>((resolve) => {
      second = lockFolder(dir, never, resolve).then((lock) => {
        order += 'second';
        return lock.release();
      });
    });
    order += 'first ';
    await first.release();
    await second;
    expect(order).toBe('first second');
  });

  it('is not waited for after an interruption', async () => {
    const first = await lockFolder(dir, never, () => expect.unreachable());
    const interruption = new AbortController();
    await expect(lockFolder(dir, interruption.signal, () => interruption.abort())).rejects.toThrow(Interrupted);
    await first.release();
  });
});
