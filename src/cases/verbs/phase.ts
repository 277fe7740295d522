import { z } from 'zod';
import { cutPattern, parseCut } from '../../peer/index.js';
import { DRY } from '../definition.js';
import type { Verb } from './verb.js';

const schema = z.union([
  z.literal('end'),
  z.strictObject({
    cut: z
      .union([z.literal(DRY), z.string().regex(cutPattern, 'a cut such as SET_VRING_CALL.2.after-read')])
      .describe(
        `Where it leaves: a message of QEMU's, which of that name, and before-read, half-read, after-read, half-header, half-payload or after-reply; ${DRY} = it stays`,
      ),
  }),
]);

export const phase: Verb<z.output<typeof schema>> = {
  name: 'phase',
  help:
    'Between phase and phase: end the peer leaves at a message of QEMU, as after kill -9, and stays away; what the steps ' +
    'between still wait for cannot come then, and the rest of them is left out. A cut that does not come fails the schedule.',
  schema,
  async run(stage, params) {
    if (params === 'end') return stage.endPhase();
    await stage.beginPhase(params.cut === DRY ? undefined : parseCut(params.cut));
  },
};
