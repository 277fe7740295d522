import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { CaseError, caseErrors, type Finding, findings, nearest, Source, selections } from '../cases/index.js';
import { levels } from '../contract/index.js';
import { profiles } from '../peer/index.js';
import { accelChoices, machineTypes } from '../qemu/index.js';
import { systemReason } from './system-error.js';
import { UsageError } from './usage-error.js';

const several = <T extends z.ZodType>(item: T) =>
  z.union([item.transform((one) => [one]), z.array(item).min(1)]) as unknown as z.ZodType<z.output<T>[]>;

export const roles = ['server', 'client'] as const;

/** What can be set by option, environment and configuration file alike; keys are the options' names. */
const settings = z.strictObject({
  qemu: z.string().min(1).optional(),
  role: several(z.enum(roles)).optional(),
  machine: several(z.enum(machineTypes)).optional(),
  accel: z.enum(accelChoices as readonly [string, ...string[]]).optional(),
  selection: z.enum(selections).optional(),
  level: z.enum(levels).optional(),
  profile: z.enum(Object.keys(profiles) as [string, ...string[]]).optional(),
  jobs: z.int().min(1).optional(),
  repeat: z.int().min(1).optional(),
  out: z.string().min(1).optional(),
  cases: several(z.string().min(1)).optional(),
  expected: z.string().min(1).optional(),
  log: z.string().min(1).optional(),
});
export type Settings = z.output<typeof settings>;
/** Their names. */
export const settingNames: readonly string[] = Object.keys(settings.shape);

/** The value of `expected` that stands for no file. */
export const NONE = 'none';

const PREFIX = 'VHOST_RECONNECT_';
/** Places of what is fetched, of the tools around this one, and of a QEMU that they build. */
const OTHERS = ['CACHE', 'CHROMIUM', 'DEFECT', 'FIDELITY_QEMUS', 'GUEST'].map((name) => PREFIX + name);
const defaultFiles = ['json', 'yaml', 'yml'].map((extension) => `vhost-reconnect.config.${extension}`);

/**
 * Settings of the configuration file. Paths in it are relative to its folder.
 * @param file as given by --config; without it the default names are looked for in `cwd`
 * @throws UsageError ERR_CONFIG
 */
export function configSettings(cwd: string, file?: string): Settings {
  for (const name of file === undefined ? defaultFiles : [file]) {
    const path = resolve(cwd, name);
    const text = readIfThere(path, file !== undefined);
    if (text !== undefined) return anchored(settingsOf(text, name), dirname(path));
  }
  return {};
}

function readIfThere(path: string, asked: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const cause = error as NodeJS.ErrnoException;
    if (cause.code === 'ENOENT' && !asked) return undefined;
    throw new UsageError(
      'ERR_CONFIG',
      `cannot read the configuration file ${path}: ${systemReason(cause)}`,
      undefined,
      { cause },
    );
  }
}

/** JSON is YAML. An empty file sets nothing. Mistakes are told with their place, as those of case files are. */
function settingsOf(text: string, name: string): Settings {
  const errors: CaseError[] = [];
  try {
    const source = Source.parse(name, text);
    const value = source.value ?? {};
    const result = settings.safeParse(value);
    if (result.success) return result.data;
    errors.push(...caseErrors('ERR_CASE_SHAPE', source, [], settings, value, result.error));
  } catch (error) {
    if (!(error instanceof CaseError)) throw error;
    errors.push(error);
  }
  throw new UsageError('ERR_CONFIG', errors[0]!.message);
}

function anchored({ qemu, out, cases, expected, log, ...rest }: Settings, dir: string): Settings {
  const anchor = (path: string) => (isAbsolute(path) ? path : join(dir, path));
  return {
    ...rest,
    // A name without a slash is looked for in PATH.
    ...(qemu !== undefined && { qemu: qemu.includes('/') ? anchor(qemu) : qemu }),
    ...(out !== undefined && { out: anchor(out) }),
    ...(log !== undefined && { log: anchor(log) }),
    ...(expected !== undefined && { expected: expected === NONE ? expected : anchor(expected) }),
    ...(cases !== undefined && { cases: cases.map(anchor) }),
  };
}

/**
 * Settings of the environment: VHOST_RECONNECT_QEMU and so on. Lists are separated by commas.
 * @throws UsageError ERR_ENVIRONMENT
 */
export function environmentSettings(env: NodeJS.ProcessEnv): Settings {
  const ours = (name: string) => name.startsWith(PREFIX) && !OTHERS.includes(name);
  const given = Object.entries(env).filter(([name, value]) => ours(name) && value !== '');
  const raw = given.map(([name, value = '']) => {
    const key = name.slice(PREFIX.length).toLowerCase();
    if (key === 'jobs' || key === 'repeat') return [key, Number.isNaN(Number(value)) ? value : Number(value)];
    if (key === 'role' || key === 'machine' || key === 'cases') return [key, value.split(',')];
    return [key, value];
  });
  const value = Object.fromEntries(raw) as unknown;
  const result = settings.safeParse(value);
  if (result.success) return result.data;
  throw environmentError(value, result.error.issues[0]!);
}

const variable = (key: PropertyKey) => PREFIX + String(key).toUpperCase();

function environmentError(value: unknown, issue: z.core.$ZodIssue): UsageError {
  if (issue.code === 'unrecognized_keys') {
    const [unknown = ''] = issue.keys;
    const near = nearest(unknown, settingNames).map(variable);
    const hint =
      near.length > 0 ? `did you mean ${near.join(' or ')}?` : `known are ${settingNames.map(variable).join(', ')}`;
    return new UsageError('ERR_ENVIRONMENT', `environment: there is no ${variable(unknown)}`, hint);
  }
  const [{ path, expected, got, hint }] = findings(settings, value, issue, []) as [Finding];
  const message = `environment: ${variable(path[0]!)}: expected ${expected}, got ${got}`;
  return new UsageError('ERR_ENVIRONMENT', message, hint);
}
