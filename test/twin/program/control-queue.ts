import type { DeviceQueue } from '../../../src/virtio/index.js';
import type { NetDevice } from './net-device.js';
import type { Virtqueue } from './virtqueue.js';

/** Class MQ, command VQ_PAIRS_SET (virtio 1.2, 5.1.6.5.5). */
const CLASS_MQ = 4;
const VQ_PAIRS_SET = 0;

const OK = Buffer.of(0);
const ERR = Buffer.of(1);

/** Carries out what waits on the control queue. @returns whether the guest wants an interrupt */
export async function runControlQueue(device: NetDevice, ring: DeviceQueue, queue: Virtqueue): Promise<boolean> {
  const chains = ring.popAll();
  for (const chain of chains) {
    const done = await carryOut(device, ring.readOut(chain));
    ring.push(chain, ring.writeIn(chain, done ? OK : ERR));
  }
  if (chains.length === 0) return false;
  ring.publish();
  queue.base = ring.base;
  ring.enableNotify();
  return ring.needsCall();
}

/** Only the number of queue pairs matters to a back-end; filters and offloads are accepted and have no effect. */
async function carryOut(device: NetDevice, command: Buffer): Promise<boolean> {
  if (command[0] !== CLASS_MQ) return true;
  if (command[1] !== VQ_PAIRS_SET || command.length < 4) return false;
  return device.changePairs(command.readUInt16LE(2));
}
