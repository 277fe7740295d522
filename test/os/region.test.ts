import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { closeFd, MappedRegion, memfd, socketPair } from '../../src/os/index.js';
import { ownFds } from './helpers.js';

const code = (name: string) => expect.objectContaining({ name: 'OsError', code: name });

function file(size: number): number {
  const fd = memfd('region', size);
  onTestFinished(() => closeFd(fd));
  return fd;
}

function mapped(fd: number, size: number | bigint, offset?: bigint): MappedRegion {
  const region = MappedRegion.map(fd, { size, ...(offset !== undefined && { offset }) });
  onTestFinished(() => region.unmap());
  return region;
}

test('what one side writes, the other reads', () => {
  const fd = file(8192);
  const region = mapped(fd, 8192n);
  region.write(4093, Buffer.from('across pages'));
  const bytes = Buffer.alloc(12);
  readSync(fd, bytes, 0, 12, 4093);
  expect(bytes.toString()).toBe('across pages');
  writeSync(fd, 'tail', 8188);
  expect(region.read(8188, 4).toString()).toBe('tail');
  region.writeU16(3, 0xabcd);
  expect(region.readU16(3)).toBe(0xabcd);
  expect(region.read(3, 2)).toEqual(Buffer.from([0xcd, 0xab]));
  expect(region.read(100, 0)).toEqual(Buffer.alloc(0));
});

test('offsets and sizes need no alignment', () => {
  const fd = file(16384);
  writeSync(fd, 'start', 5003);
  const region = mapped(fd, 1001, 5003n);
  expect(region.size).toBe(1001);
  expect(region.read(0, 5).toString()).toBe('start');
  region.write(1000, Buffer.from('!'));
  expect(mapped(fd, 16384).read(6003, 1).toString()).toBe('!');
});

test.each([0, 1, 7, 8, 13])('large copies at offset %i come whole', (offset) => {
  const size = 300_000;
  const region = mapped(file(size + 16), size + 16);
  const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
  region.write(offset, bytes);
  expect(region.read(offset, size).equals(bytes)).toBe(true);
  expect(region.read(offset + 99_999, 70_001).equals(bytes.subarray(99_999, 170_000))).toBe(true);
});

test('nothing outside of the region is touched', () => {
  const region = mapped(file(8192), 4000);
  const attempts = [
    () => region.read(3999, 2),
    () => region.read(-1, 1),
    () => region.read(0, -1),
    () => region.read(Number.NaN, 1),
    () => region.write(4000, Buffer.from('x')),
    () => region.readU16(3999),
    () => region.writeU16(3999, 1),
  ];
  for (const attempt of attempts) expect(attempt).toThrow(code('ERANGE'));
});

test('only what lies in the file is mapped', () => {
  const fd = file(8192);
  const attempt = (size: number | bigint, offset: bigint) => () => MappedRegion.map(fd, { size, offset });
  expect(attempt(8193, 0n)).toThrow(code('ENXIO'));
  expect(attempt(4096, 8192n)).toThrow(code('ENXIO'));
  expect(attempt(0, 0n)).toThrow(code('EINVAL'));
  expect(attempt(0xffff_ffff_ffff_ffffn, 4096n)).toThrow(code('EINVAL'));
  expect(attempt(4096, 0xffff_ffff_ffff_f000n)).toThrow(code('EINVAL'));
  expect(() => MappedRegion.map(1_000_000, { size: 1 })).toThrow(code('EBADF'));
  const [socket, other] = socketPair();
  expect(() => MappedRegion.map(socket, { size: 1 })).toThrow(code('ENXIO'));
  closeFd(socket);
  closeFd(other);
});

test('the file may be closed while it is mapped, and nothing is readable once unmapped', async () => {
  const before = await ownFds();
  const fd = memfd('closed', 4096);
  const region = MappedRegion.map(fd, { size: 4096 });
  closeFd(fd);
  region.write(0, Buffer.from('kept'));
  expect(region.read(0, 4).toString()).toBe('kept');
  region.unmap();
  region.unmap();
  expect(() => region.read(0, 4)).toThrow(code('EFAULT'));
  expect(() => region.write(0, Buffer.from('x'))).toThrow(code('EFAULT'));
  expect(await ownFds()).toBe(before);
});

test('memory that is gone because the file was shrunk is an error', () => {
  const fd = file(3 * 4096);
  const region = mapped(fd, 3 * 4096);
  ftruncateSync(fd, 4096);
  expect(region.read(0, 4096)).toHaveLength(4096);
  expect(() => region.read(4096, 1)).toThrow(code('EFAULT'));
  expect(() => region.read(4000, 200)).toThrow(code('EFAULT')); // half of it is there
  expect(() => region.write(8192, Buffer.from('x'))).toThrow(code('EFAULT'));
});
