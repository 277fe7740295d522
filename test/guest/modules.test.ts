import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { guestFiles, guestInitramfs } from '../../src/guest/index.js';
import { guestModules } from '../../src/guest/modules.js';
import { scratch } from '../qemu/support.js';
import { guestFolder } from './bench.js';

/** The bytes of a module that depends on others, as far as they matter. */
const module = (...depends: string[]) => Buffer.from(`ELF\0license=GPL\0depends=${depends.join()}\0name=x\0`);

/** A folder of modules. */
async function folder(files: Record<string, Buffer | string>): Promise<string> {
  const path = await scratch();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return path;
}

const names = async (path: string) => (await guestModules(path)).map(({ name }) => name);

describe('guestModules', () => {
  it('puts what a module depends on before it, each once, whatever its file is called', async () => {
    const path = await folder({
      'kernel/net/virtio_net.ko': module('virtio-ring', 'net_failover'),
      'kernel/net/net_failover.ko': module('failover'),
      'kernel/core/failover.ko': module(),
      'kernel/virtio/virtio-ring.ko': module(),
      'kernel/virtio/virtio_pci.ko': module('virtio_ring'),
      'kernel/other.ko': module(),
    });
    const expected = ['virtio_ring.ko', 'virtio_pci.ko', 'failover.ko', 'net_failover.ko', 'virtio_net.ko'];
    expect(await names(path)).toEqual(expected);
  });

  it('leaves out what is built in', async () => {
    const path = await folder({
      'virtio_net.ko': module('virtio', 'failover'),
      'failover.ko': module(),
      'modules.builtin': 'kernel/drivers/virtio/virtio.ko\nkernel/net/ipv6/ipv6.ko\n',
    });
    expect(await names(path)).toEqual(['failover.ko', 'virtio_net.ko']);
    expect(await names(await folder({ 'modules.builtin': 'kernel/drivers/net/virtio_net.ko\n' }))).toEqual([]);
  });

  it('unpacks compressed ones', async () => {
    const plain = module();
    const pack = (program: string) => execFileSync(program, ['-c', '-q'], { input: plain });
    const path = await folder({
      'virtio_net.ko.xz': execFileSync('xz', ['-c'], { input: module('a', 'b') }),
      'a.ko.zst': pack('zstd'),
      'b.ko.gz': gzipSync(plain),
    });
    expect(await guestModules(path)).toEqual([
      { name: 'a.ko', content: plain },
      { name: 'b.ko', content: plain },
      { name: 'virtio_net.ko', content: module('a', 'b') },
    ]);
  });

  it('says what is missing or broken', async () => {
    const code = (code: string, message: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(message), hint: expect.any(String) });
    const fails = async (files: Record<string, Buffer | string>) => names(await folder(files));
    await expect(fails({})).rejects.toEqual(code('ERR_GUEST_MODULE', /no module virtio_net/));
    const needs = { 'virtio_net.ko': module('gone') };
    await expect(fails(needs)).rejects.toEqual(code('ERR_GUEST_MODULE', /no module gone/));
    await expect(fails({ 'virtio_net.ko.xz': 'no xz' })).rejects.toEqual(
      code('ERR_GUEST_UNPACK', /virtio_net\.ko\.xz/),
    );
    await expect(names('/nowhere')).rejects.toEqual(code('ERR_GUEST_FILES', /nowhere/));
  });
});

describe('guestInitramfs', () => {
  it('says which file is missing, and what is no kernel', async () => {
    const files = guestFiles(guestFolder());
    const gone = { ...files, busybox: '/nowhere/busybox' };
    await expect(guestInitramfs(gone)).rejects.toMatchObject({ code: 'ERR_GUEST_FILES', hint: /busybox/ });
    const none = { ...files, kernel: '/nowhere/vmlinuz' };
    await expect(guestInitramfs(none)).rejects.toMatchObject({ code: 'ERR_GUEST_FILES', hint: /kernel/ });
    const other = { ...files, kernel: files.busybox };
    await expect(guestInitramfs(other)).rejects.toMatchObject({ code: 'ERR_GUEST_FILES', message: /no Linux kernel/ });
  });
});
