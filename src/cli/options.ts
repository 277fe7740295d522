import type { Argv } from 'yargs';
import { profiles } from '../peer/index.js';
import { accelChoices, machineTypes } from '../qemu/index.js';
import { roles, type Settings } from './settings.js';

/** Takes the settings that a command has options for; strict parsing would refuse the others. */
export const withSettings = <T>(argv: Argv<T>, settings: Settings, ...keys: (keyof Settings)[]) =>
  argv.config(Object.fromEntries(keys.flatMap((key) => (settings[key] === undefined ? [] : [[key, settings[key]]]))));

/** Options that say what is selected; list, explain and run have them. */
export const selectionOptions = <T>(argv: Argv<T>) =>
  argv
    .positional('selector', {
      array: true,
      type: 'string',
      default: [] as string[],
      describe: 'Case id or its first components, variant id, or a pattern with *',
    })
    .option('role', { array: true, choices: roles, default: [...roles], describe: "Role of QEMU's chardev" })
    .option('machine', { array: true, choices: machineTypes, default: ['q35' as const], describe: 'Machine type' })
    .option('cases', { array: true, string: true, default: [] as string[], describe: 'Folder with further cases' });

/** The QEMU under test. */
export const qemuOption = <T>(argv: Argv<T>) =>
  argv.option('qemu', { string: true, requiresArg: true, describe: 'QEMU binary or wrapper [searched for in PATH]' });

/** How to run what is selected. */
export const runOptions = <T>(argv: Argv<T>) =>
  qemuOption(argv)
    .option('accel', { choices: accelChoices, default: 'auto' as const, describe: 'Accelerator' })
    .option('profile', { choices: Object.keys(profiles), describe: 'Recorded back-end that the peer acts as' })
    .option('jobs', { number: true, requiresArg: true, describe: 'Variants side by side [8 per core]' })
    .option('repeat', { number: true, requiresArg: true, default: 1, describe: 'Run everything so many times' })
    .option('out', {
      string: true,
      requiresArg: true,
      default: 'reports',
      describe: 'Folder for reports; each run makes its own in it',
    })
    .option('quiet', { boolean: true, default: false, describe: 'No progress, only the summary' });
