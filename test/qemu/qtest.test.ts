import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QemuError } from '../../src/qemu/qemu-error.js';
import { QtestClient } from '../../src/qemu/qtest.js';

describe('QtestClient', () => {
  let dir: string;
  let server: Server;
  let qemu: Socket;
  let client: QtestClient;
  let received = '';
  let chunks = 0;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'qtest-'));
    received = '';
    chunks = 0;
    server = createServer().listen(join(dir, 's'));
    await once(server, 'listening');
    const ours = connect(join(dir, 's'));
    [qemu] = (await once(server, 'connection')) as [Socket];
    qemu.on('error', () => {});
    qemu.on('data', (data: Buffer) => {
      received += data.toString();
      chunks++;
    });
    client = new QtestClient(ours);
  });

  afterEach(async () => {
    client.close();
    qemu.destroy();
    server.close();
    await rm(dir, { recursive: true });
  });

  /** Waits until that many commands came. */
  const commands = async (count: number) => {
    while (received.split('\n').length <= count) await once(qemu, 'data');
    return received.split('\n').slice(0, -1);
  };

  it('speaks qtest', async () => {
    const answers = Promise.all([
      client.inl(0xcfc),
      client.outl(0xcf8, 0x80000000),
      client.readMem('q', 0x1000n),
      client.writeMem('w', 0xfeb00000n, 7n),
      client.readBytes(0x100000n, 3),
      client.writeBytes(0x100000n, Buffer.from('abc')),
      client.fill(0x100000n, 4096, 0),
      client.interceptIrq('ioapic'),
    ]);
    expect(await commands(8)).toEqual([
      'inl 0xcfc',
      'outl 0xcf8 0x80000000',
      'readq 0x1000',
      'writew 0xfeb00000 0x7',
      'b64read 0x100000 0x3',
      'b64write 0x100000 0x3 YWJj',
      'memset 0x100000 0x1000 0x0',
      'irq_intercept_in ioapic',
    ]);
    expect(chunks).toBe(1);
    qemu.write('OK 0x00000003\nOK\nOK 0xffffffffffffffff\nOK\nOK YWJj\nOK\nOK\nOK\n');
    const nothing = undefined;
    expect(await answers).toEqual([
      3,
      nothing,
      0xffffffffffffffffn,
      nothing,
      Buffer.from('abc'),
      nothing,
      nothing,
      nothing,
    ]);
  });

  it('tells interrupts from answers, wherever the stream is cut', async () => {
    const irqs: [number, boolean][] = [];
    const stop = client.onIrq((line, raised) => irqs.push([line, raised]));
    const text = 'IRQ raise 20\nOK 0x01\nIRQ lower 20\r\nOK 0x02\n';
    const answers = Promise.all([client.inl(1), client.inl(2)]);
    await commands(2);
    for (const char of text) {
      qemu.write(char);
      await new Promise(setImmediate);
    }
    expect(await answers).toEqual([1, 2]);
    expect(irqs).toEqual([
      [20, true],
      [20, false],
    ]);
    stop();
    const last = client.inl(3);
    qemu.write('IRQ raise 20\nOK 0x03\n');
    await last;
    expect(irqs).toHaveLength(2);
  });

  it('rejects a refused command and goes on', async () => {
    const refused = client.interceptIrq('nothing');
    const next = client.inl(1);
    qemu.write('FAIL Unknown device\nOK 0x05\n');
    await expect(refused).rejects.toMatchObject({ code: 'ERR_QTEST', message: 'qtest: FAIL Unknown device' });
    expect(await next).toBe(5);
  });

  it('rejects everything pending, and all that comes later, when the socket dies', async () => {
    const pending = Promise.allSettled([client.inl(1), client.inl(2)]);
    await commands(2);
    qemu.destroy();
    for (const result of await pending)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_QEMU_SOCKET' } });
    expect(client.connected).toBe(false);
    expect(await client.lost).toMatchObject({ code: 'ERR_QEMU_SOCKET' });
    await expect(client.inl(3)).rejects.toBeInstanceOf(QemuError);
  });

  it('calls an answer that is no number a protocol error', async () => {
    const answer = client.inl(1);
    qemu.write('OK rubbish\n');
    await expect(answer).rejects.toMatchObject({ code: 'ERR_QEMU_PROTOCOL' });
  });

  it('gives up a connection that answers what nothing asked', async () => {
    qemu.write('OK\n');
    await once(qemu, 'close');
    await expect(client.inl(1)).rejects.toMatchObject({ code: 'ERR_QEMU_PROTOCOL' });
  });
});
