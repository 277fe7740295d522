import { packedBase } from '../../src/virtio/index.js';
import { ACCEPTED, hex } from './exchange-script.js';
import { Story } from './timeline-builder.js';

const SIZE = 256;

/** The base of a packed ring on which so many descriptors were used. */
export const at = (used: number): number => packedBase(used % (2 * SIZE), used % (2 * SIZE), SIZE);

/** The same run with packed rings, told as a back-end that tells whole bases sees it; every ring goes on where it stopped. */
export function packed(story: Story): Story {
  const { events } = story;
  return new Story(
    events.map((event) => {
      if (event.type !== 'ring.start') return event;
      const { usedIdx: _, availIdx: __, usedFlags: ___, base, ...rest } = event;
      return { ...rest, layout: 'packed', base: at(base), available: true, eventFlags: 0 } as const;
    }),
  )
    .with('driver.features', () => true, { accepted: hex(ACCEPTED | (1n << 34n)) })
    .with('driver.ready', () => true, { layout: 'packed' })
    .with(
      'ring.stop',
      () => true,
      ({ base }) => ({ layout: 'packed', base: at(base) }),
    )
    .with(
      'wire.send',
      ({ name }) => name === 'GET_VRING_BASE',
      ({ body }) => ({ body: { ...(body as object), num: at((body as { num: number }).num) } }),
    );
}
