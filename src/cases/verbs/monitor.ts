import { z } from 'zod';
import { StepFailed } from '../stage.js';
import type { Verb } from './verb.js';

const actions = ['connect', 'command', 'leave', 'break-off'] as const;

export const monitor: Verb<(typeof actions)[number]> = {
  name: 'monitor',
  help:
    'A management client at the second monitor (extras: monitor): it connects and negotiates; it asks query-status and ' +
    'query-chardev; it leaves, with its answers or without; it breaks off in the middle of a command. Goes on at once; `await: ' +
    'commands` waits for its answers.',
  schema: z.enum(actions),
  async run(stage, action) {
    if (action === 'connect') {
      stage.connectMonitor();
      stage.begin('the second monitor', stage.monitor.ask('qmp_capabilities'));
    } else if (action === 'command') {
      for (const command of ['query-status', 'query-chardev'])
        stage.begin(`${command} at the second monitor`, stage.monitor.ask(command));
    } else if (!stage.monitor.leave(action === 'leave' ? 'whole' : 'half'))
      throw new StepFailed('nobody is at the second monitor any more');
  },
};
