import type { Argv } from 'yargs';
import { selections } from '../cases/index.js';
import { levels } from '../contract/index.js';
import { profiles } from '../peer/index.js';
import { accelChoices, machineTypes } from '../qemu/index.js';
import type { Shard } from '../runner/index.js';
import { roles, type Settings } from './settings.js';

/** A fleet; more is a slip of the pen. */
const MAX_SHARDS = 10_000;

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

/** `2/4`: the second of four. */
function shard(given: string | undefined): Shard | undefined {
  if (given === undefined) return undefined;
  const [index = 0, of = 0] = /^(\d+)\/(\d+)$/.exec(given)?.slice(1).map(Number) ?? [];
  if (index >= 1 && index <= of && of <= MAX_SHARDS) return { index, of };
  throw new Error(`--shard takes a part such as 2/4, from 1/4 to 4/4, not ${given}`);
}

/** `90s`, `1.5h`: in milliseconds. */
function span(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(s|m|h)$/.exec(given) ?? [];
  const ms = Number(number) * ({ s: 1e3, m: 60e3, h: 3600e3 }[unit] ?? Number.NaN);
  if (ms > 0) return ms;
  throw new Error(`--max-time takes a time such as 90s, 10m or 1h, not ${given}`);
}

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

/** Options that say what is selected; list and run have them. `usual`: how much that is where nothing is said. */
export const selectionOptions = <T>(argv: Argv<T>, usual: string) =>
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
        describe: 'Machine type [q35; of a case that has no q35, its first]',
      })
      .option('selection', {
        ...choice('selection', selections),
        describe: `How much of the catalogue: each has all of the one before, but guest, what boots a Linux [${usual}]`,
      }),
  );

/** The QEMU under test. */
export const qemuOption = <T>(argv: Argv<T>) =>
  argv.option('qemu', { ...text('qemu'), describe: 'QEMU binary or wrapper [searched for in PATH]' });

/** Where a run's folder is made. */
export const outOption = <T>(argv: Argv<T>) =>
  argv.option('out', {
    ...text('out'),
    default: 'reports',
    describe: 'Folder for reports; each run makes its own in it',
  });

/** How to run what is selected. */
export const runOptions = <T>(argv: Argv<T>) =>
  outOption(qemuOption(argv))
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
    .option('repeat-until-fail', { boolean: true, describe: 'Run everything again and again, until that' })
    .option('expected', {
      ...text('expected'),
      describe: 'Expectation file, or none [the one for this build in cases/expected]',
    })
    .option('update-expected', {
      boolean: true,
      describe: 'Add to that file what failed and it does not name',
    })
    .option('shard', {
      ...text('shard'),
      coerce: (value: unknown) => shard(text('shard').coerce(value)),
      describe: 'Which part to run, e.g. 2/4; `merge` brings all parts together [everything]',
    })
    .option('rerun-failed', {
      ...text('rerun-failed'),
      describe: 'Run only what failed unexpectedly, was inconclusive or not run in that run: its folder',
    })
    .option('max-time', {
      ...text('max-time'),
      coerce: (value: unknown) => span(text('max-time').coerce(value)),
      describe: 'Begin nothing later than this, e.g. 10m; what is left out makes the run inconclusive [no limit]',
    })
    .option('bundle', { ...text('bundle'), describe: 'File to pack the run into at its end: .tgz, or .tar.zst' })
    .option('quiet', { boolean: true, default: false, describe: 'No progress, only the summary' });
