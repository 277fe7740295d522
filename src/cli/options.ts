import type { Argv } from 'yargs';
import { selections } from '../cases/index.js';
import { levels } from '../contract/index.js';
import { profiles } from '../peer/index.js';
import { accelChoices, machineTypes } from '../qemu/index.js';
import { roles, type Settings } from './settings.js';

/** Takes the settings that a command has options for; strict parsing would refuse the others. */
export const withSettings = <T>(argv: Argv<T>, settings: Settings, ...keys: (keyof Settings)[]) =>
  argv.config(Object.fromEntries(keys.flatMap((key) => (settings[key] === undefined ? [] : [[key, settings[key]]]))));

/** A text that is given once and not empty: an unset variable of a script must not pass for a path. */
export const text = (name: string) => ({ string: true, requiresArg: true, coerce: once<string>(name) }) as const;

/** One of some words, given once. */
export const choice = <T extends string>(name: string, choices: readonly T[]) =>
  ({ choices, requiresArg: true, coerce: once<T>(name) }) as const;

function once<T extends string>(name: string) {
  return (given: unknown) => {
    if (Array.isArray(given)) throw new Error(`--${name} may be given once only`);
    if (given === '') throw new Error(`--${name} needs a value, not an empty one`);
    return given as T;
  };
}

/** Some of a few words, repeated or with commas: `--role server,client`. It takes no further word: that is a selector. */
const choices = <T extends string>(of: readonly T[]) =>
  ({
    requiresArg: true,
    choices: of,
    coerce: (given: unknown) => [given].flat().flatMap((word) => String(word).split(',')) as T[],
  }) as const;

/** A count from 1 up. */
const count = (name: string) =>
  ({
    requiresArg: true,
    coerce: (value: unknown) => {
      const given = once(name)(value) as unknown;
      const number = typeof given === 'boolean' ? Number.NaN : Number(given);
      if (given === undefined || (Number.isSafeInteger(number) && number >= 1)) return number;
      throw new Error(`--${name} takes a whole number from 1 up, not ${String(given)}`);
    },
  }) as const;

/** Folders with cases beside the built-in ones. */
export const casesOption = <T>(argv: Argv<T>) =>
  argv.option('cases', {
    string: true,
    requiresArg: true,
    default: [],
    defaultDescription: 'none',
    coerce: (given: unknown) => [given].flat().map((dir) => once<string>('cases')(dir)),
    describe: 'Folder with further cases; may be given several times',
  });

/** Options that say what is selected; list and run have them. */
export const selectionOptions = <T>(argv: Argv<T>) =>
  casesOption(
    argv
      .positional('selector', {
        array: true,
        type: 'string',
        default: [] as string[],
        defaultDescription: 'everything',
        describe: 'Case id or its first components, variant id, or a pattern with *',
      })
      .option('role', {
        ...choices(roles),
        default: [...roles],
        defaultDescription: 'server,client',
        describe: "Role of QEMU's chardev",
      })
      .option('machine', {
        ...choices(machineTypes),
        default: ['q35' as const],
        defaultDescription: 'q35',
        describe: 'Machine type',
      })
      .option('selection', {
        ...choice('selection', selections),
        describe: 'How much of the catalogue: each has all of the one before [quick; full where selectors are given]',
      }),
  );

/** The QEMU under test. */
export const qemuOption = <T>(argv: Argv<T>) =>
  argv.option('qemu', { ...text('qemu'), describe: 'QEMU binary or wrapper [searched for in PATH]' });

/** How to run what is selected. */
export const runOptions = <T>(argv: Argv<T>) =>
  qemuOption(argv)
    .option('accel', { ...choice('accel', accelChoices), default: 'auto' as const, describe: 'Accelerator' })
    .option('profile', {
      ...choice('profile', Object.keys(profiles)),
      describe: 'Recorded back-end that the peer acts as',
    })
    .option('jobs', { ...count('jobs'), describe: 'Variants side by side [8 per core]' })
    .option('repeat', { ...count('repeat'), default: 1, describe: 'Run everything so many times' })
    .option('level', {
      ...choice('level', levels),
      default: 'must' as const,
      describe: 'Requirements from this level up fail a variant; all are judged',
    })
    .option('fail-fast', { boolean: true, describe: 'Stop at the first failure that is not expected' })
    .option('expected', {
      ...text('expected'),
      describe: 'Expectation file, or none [the one for this build in cases/expected]',
    })
    .option('out', {
      ...text('out'),
      default: 'reports',
      describe: 'Folder for reports; each run makes its own in it',
    })
    .option('bundle', { ...text('bundle'), describe: 'File to pack the run into at its end: .tgz, or .tar.zst' })
    .option('quiet', { boolean: true, default: false, describe: 'No progress, only the summary' });
