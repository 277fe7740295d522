import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { didYouMean } from '../cases/index.js';
import { profiles } from '../peer/index.js';
import { accelChoices, machineTypes } from '../qemu/index.js';
import { UsageError, type UsageErrorCode } from './usage-error.js';

const several = <T extends z.ZodType>(item: T) =>
  z.union([item.transform((one) => [one]), z.array(item).min(1)]) as unknown as z.ZodType<z.output<T>[]>;

export const roles = ['server', 'client'] as const;

/** What can be set by option, environment and configuration file alike; keys are the options' names. */
const settings = z.strictObject({
  qemu: z.string().min(1).optional(),
  role: several(z.enum(roles)).optional(),
  machine: several(z.enum(machineTypes)).optional(),
  accel: z.enum(accelChoices as readonly [string, ...string[]]).optional(),
  profile: z.enum(Object.keys(profiles) as [string, ...string[]]).optional(),
  jobs: z.int().min(1).optional(),
  repeat: z.int().min(1).optional(),
  out: z.string().min(1).optional(),
  cases: several(z.string().min(1)).optional(),
  log: z.string().min(1).optional(),
});
export type Settings = z.output<typeof settings>;
const keys = Object.keys(settings.shape);

const PREFIX = 'VHOST_RECONNECT_';
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
    if (text !== undefined) return anchored(validate(parseYaml(text, name), name, 'ERR_CONFIG'), dirname(path));
  }
  return {};
}

function readIfThere(path: string, asked: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !asked) return undefined;
    throw new UsageError('ERR_CONFIG', `cannot read the configuration file ${path}: ${code}`, undefined, {
      cause: error,
    });
  }
}

function parseYaml(text: string, name: string): unknown {
  try {
    // JSON is YAML. An empty file sets nothing.
    return (parse(text) as unknown) ?? {};
  } catch (error) {
    const [line = 'not YAML'] = (error as Error).message.split('\n');
    throw new UsageError('ERR_CONFIG', `${name}: ${line}`, 'JSON or YAML is expected', { cause: error });
  }
}

function anchored({ qemu, out, cases, log, ...rest }: Settings, dir: string): Settings {
  const anchor = (path: string) => (isAbsolute(path) ? path : join(dir, path));
  return {
    ...rest,
    // A name without a slash is looked for in PATH.
    ...(qemu !== undefined && { qemu: qemu.includes('/') ? anchor(qemu) : qemu }),
    ...(out !== undefined && { out: anchor(out) }),
    ...(log !== undefined && { log: anchor(log) }),
    ...(cases !== undefined && { cases: cases.map(anchor) }),
  };
}

/**
 * Settings of the environment: VHOST_RECONNECT_QEMU and so on. Lists are separated by commas.
 * @throws UsageError ERR_ENVIRONMENT
 */
export function environmentSettings(env: NodeJS.ProcessEnv): Settings {
  const given = Object.entries(env).filter(([name, value]) => name.startsWith(PREFIX) && value !== '');
  const raw = given.map(([name, value = '']) => {
    const key = name.slice(PREFIX.length).toLowerCase();
    if (key === 'jobs' || key === 'repeat') return [key, Number(value)];
    if (key === 'role' || key === 'machine' || key === 'cases') return [key, value.split(',')];
    return [key, value];
  });
  return validate(Object.fromEntries(raw), 'environment', 'ERR_ENVIRONMENT', (key) => PREFIX + key.toUpperCase());
}

function validate(value: unknown, where: string, code: UsageErrorCode, nameOf = (key: string) => key): Settings {
  const result = settings.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues as [z.core.$ZodIssue];
  if (issue.code === 'unrecognized_keys') {
    const [unknown = ''] = issue.keys;
    const hint = didYouMean(unknown, keys)?.replace(
      /mean (.*)\?/,
      (_, names: string) => `mean ${names.split(' or ').map(nameOf).join(' or ')}?`,
    );
    throw new UsageError(
      code,
      `${where}: unknown setting ${nameOf(unknown)}`,
      hint ?? `known are ${keys.map(nameOf).join(', ')}`,
    );
  }
  const place = issue.path.length > 0 ? `${nameOf(String(issue.path[0]))}: ` : '';
  throw new UsageError(code, `${where}: ${place}${issue.message}`);
}
