import { z } from 'zod';
import { duration } from '../duration.js';
import type { Stage } from '../stage.js';
import { spread } from './spread.js';
import type { Verb } from './verb.js';

/** So many times at most a long flap is looked at, with nobody connected: enough to tell growth from noise. */
const LOOKS = 40;

const schema = z.strictObject({
  cycles: z.int().min(1).max(10_000).describe('How often the peer comes and goes'),
  live: duration.describe(
    'The longest that a connection lives; they live from 0 on, by a fixed sequence that is spread evenly',
  ),
  away: duration.default(0).describe('The longest absence between two of them, likewise; 0: it is back at once'),
  leave: z.enum(['close', 'half-message']).default('close').describe('How it leaves, as for restart'),
  path: z
    .enum(['keep', 'remove', 'listening'])
    .default('listening')
    .describe("The peer's path meanwhile (client role), as for restart"),
});

type Flap = z.output<typeof schema>;

export const flap: Verb<Flap> = {
  name: 'flap',
  help: 'The peer, which may be connected, leaves; then it comes and goes again and again, and is away in the end.',
  schema,
  async run(stage, { cycles, live, away, leave, path }) {
    await stage.peer.leave('close', path);
    const between = Math.ceil(cycles / LOOKS);
    for (let i = 1; i <= cycles; i++) {
      await come(stage);
      await stage.pass(spread(i, live));
      await stage.peer.leave(leave, path);
      if (i % between === 0) await stage.sample();
      // Another number of the sequence, or long lives would always go with long absences.
      if (away > 0) await stage.pass(spread(i * i, away));
    }
  },
};

/** The peer dials without a pause, or listens until it is dialled. */
async function come(stage: Stage): Promise<void> {
  const { peer } = stage;
  await Promise.all([peer.arrive({}, true), stage.until('a connection', () => peer.session !== undefined)]);
}
