import type { Back } from '../../peer/index.js';
import type { Stage } from '../stage.js';

/** Has the peer arrive. A peer that dials never gives up by itself, so the wait ends with QEMU, or at the deadline. */
export async function arrive(stage: Stage, back: Back, startup = false): Promise<void> {
  const arrived = stage.peer.arrive(back, startup);
  if (stage.variant.role === 'server') await stage.until('a connection', () => stage.peer.session !== undefined);
  await arrived;
}
