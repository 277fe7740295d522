import type { Back } from '../../peer/index.js';
import type { Stage } from '../stage.js';

/** Has the peer arrive. A peer that dials never gives up by itself, so the wait ends with QEMU, or at the deadline. */
export async function arrive(stage: Stage, back: Back): Promise<void> {
  if (stage.variant.role === 'server') await stage.hurryDriver();
  const connected =
    stage.variant.role === 'server' ? stage.until('a connection', () => stage.peer.session !== undefined) : undefined;
  await Promise.all([stage.peer.arrive(back, stage.starting), connected]);
}
