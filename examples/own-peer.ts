// The mock peer in a test of one's own: a QEMU that is started here dials it, loses it, and dials it again.
// Usage: own-peer [QEMU]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEvent, type Event, findQemu, Peer, probe, Recorder } from 'vhost-reconnect';

const dir = await mkdtemp(join(tmpdir(), 'own-peer-'));
const recorder = new Recorder();
recorder.listen((event) => console.log(describeEvent(event)));

/** The end of the next handshake: without a driver QEMU's last word but for SET_VRING_ERR is the call fd of ring 1. */
const handshake = () =>
  new Promise<void>((resolve) => {
    const end = recorder.listen((event: Event) => {
      if (event.type !== 'wire.recv' || event.name !== 'SET_VRING_CALL') return;
      if ((event.body as { index: number }).index !== 1) return;
      end();
      resolve();
    });
  });

const { path: binary, reconnectOption } = await probe(await findQemu(process.argv[2]));
const second = reconnectOption === 'reconnect' ? 'reconnect=1' : 'reconnect-ms=1000';
const path = join(dir, 'vhost-user.sock');
const peer = new Peer({ role: 'client', path, recorder });
await peer.arrive();
const first = handshake();
const qemu = spawn(
  binary,
  [
    ...['-M', 'microvm', '-accel', 'tcg', '-nodefaults', '-display', 'none', '-m', '64', '-S'],
    ...['-object', 'memory-backend-memfd,id=mem,size=64M,share=on', '-machine', 'memory-backend=mem'],
    ...['-chardev', `socket,id=c0,path=${path},${second}`],
    ...['-netdev', 'vhost-user,id=n0,chardev=c0', '-device', 'virtio-net-device,netdev=n0'],
  ],
  { stdio: 'inherit' },
);
const exited = once(qemu, 'exit');
try {
  await first;
  await peer.leave('close', 'listening');
  await peer.arrive();
  await handshake();
  console.log('QEMU is back');
} finally {
  qemu.kill();
  await exited;
  await peer.close();
  await rm(dir, { recursive: true });
}
