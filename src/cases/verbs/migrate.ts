import { z } from 'zod';
import type { Verb } from './verb.js';

const schema = z.union([
  z.enum(['start', 'release', 'continue', 'cancel', 'break-off', 'resume']),
  z.strictObject({
    start: z.strictObject({
      hold: z
        .literal('copied')
        .optional()
        .describe('The destination reads no further than to the end of guest memory, until release or cancel'),
      pause: z
        .literal('switch-over')
        .optional()
        .describe('QEMU pauses before the switch-over, until continue or cancel (pause-before-switchover)'),
    }),
  }),
]);

export const migrate: Verb<z.output<typeof schema>> = {
  name: 'migrate',
  help:
    'QEMU migrates to a destination of the tester, which reads the stream: start does not wait for anything but QEMU’s word ' +
    'on the command, even if it refuses. release: a destination that was held reads on; continue: a QEMU that pauses before ' +
    'the switch-over goes on; cancel: QEMU is to cancel, and the destination reads on; break-off: the destination closes the ' +
    'stream. resume: where the migration completed, its source runs on (cont). A release, cancel or break-off of a migration that has ended does nothing.',
  schema,
  async run(stage, action) {
    if (action === 'start') return stage.startMigration({});
    if (action === 'release') return stage.migration.release();
    if (action === 'break-off') return stage.migration.close();
    if (action === 'resume') return stage.resumeSource();
    if (action === 'continue') return stage.continueMigration();
    if (action === 'cancel') return stage.cancelMigration();
    const { hold, pause } = action.start;
    await stage.startMigration({ ...(hold ? { hold } : {}), ...(pause ? { pause } : {}) });
  },
};
