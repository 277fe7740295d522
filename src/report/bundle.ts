import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { create, extract } from 'tar';
import type { Requirement } from '../contract/index.js';
import { compareRuns, RESULTS, readRun, rejudge, type StoredRun } from '../runner/index.js';
import { count } from './format.js';
import { renderSheet } from './sheet.js';

/** Sums of all other files, as sha256sum writes and checks them. */
export const SUMS = 'SHA256SUMS';
/** The summary sheet. */
export const SHEET = 'SUMMARY.txt';

/** What a file name says of how a bundle is packed. */
const endings = { '.tgz': 'gzip', '.tar.gz': 'gzip', '.tar.zst': 'zstd' } as const;

/** A bundle that cannot be written, or is none: why, and what helps. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
  readonly code = 'ERR_BUNDLE';

  constructor(
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Which compression a bundle's name asks for.
 * @throws BundleError for another ending, and for zstd where this Node has none (it came with 22.15)
 */
export function packingOf(file: string): 'gzip' | 'zstd' {
  const packing = Object.entries(endings).find(([ending]) => file.endsWith(ending))?.[1];
  if (packing === undefined)
    throw new BundleError(
      `${file}: a bundle's name ends in ${Object.keys(endings).join(', ')}`,
      'e.g. certification.tgz',
    );
  if (packing === 'zstd' && !('createZstdCompress' in zlib))
    throw new BundleError(
      `${file}: this Node (${process.version}) has no zstd`,
      'name it .tgz, or use Node 22.15 or later',
    );
  return packing;
}

/**
 * Packs a run's folder with a summary sheet and the sums of all files, under one folder of the run's name.
 * The file appears when it is whole. Timelines, results and reports go in as they are.
 * @throws BundleError, StoredRunError, or the file system's error
 */
export async function writeBundle(run: StoredRun, file: string, contract: readonly Requirement[]): Promise<void> {
  const packing = packingOf(file);
  const staging = await mkdtemp(join(tmpdir(), 'vhost-reconnect-bundle-'));
  try {
    const name = basename(run.dir);
    const root = join(staging, name);
    const files = await filesOf(run.dir);
    for (const one of files.filter((path) => path !== SHEET && path !== SUMS)) {
      await mkdir(join(root, one, '..'), { recursive: true });
      await copyFile(join(run.dir, one), join(root, one));
    }
    await writeFile(join(root, SHEET), renderSheet(run.result, contract));
    const sums = await sumsOf(root, await filesOf(root));
    await writeFile(join(root, SUMS), [...sums].map(([path, sum]) => `${sum}  ${path}\n`).join(''));
    const all = (await filesOf(root)).map((path) => join(name, path));
    const part = `${file}.part`;
    try {
      const options = { cwd: staging, portable: true, strict: true, mtime: new Date(run.result.startedAt), file: part };
      await create({ ...options, ...(packing === 'gzip' ? { gzip: true } : { zstd: true }) }, all);
      await rename(part, file);
    } catch (cause) {
      throw new BundleError(`cannot write ${file}: ${(cause as Error).message}`, 'the run itself is stored', { cause });
    } finally {
      await rm(part, { force: true });
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** What checking a bundle found. It is sound when there are no faults. */
export interface BundleCheck {
  run: StoredRun['result'];
  files: number;
  faults: string[];
  /** What could not be checked, and why. */
  notes: string[];
}

/**
 * Checks a bundle: every file has its sum and none is beside them; the timelines, judged again, give the verdicts in it; the
 * sheet is what the results say. The last two need the tester's version that made it; another one gives a note.
 * @param version of this tester
 * @throws BundleError when it is no bundle
 */
export async function checkBundle(
  file: string,
  version: string,
  contract: readonly Requirement[],
): Promise<BundleCheck> {
  const staging = await mkdtemp(join(tmpdir(), 'vhost-reconnect-verify-'));
  try {
    await unpack(file, staging);
    const [name, ...others] = await readdir(staging);
    if (name === undefined || others.length > 0) throw notABundle(file, 'it has not one folder');
    const root = join(staging, name);
    const listed = await readSums(join(root, SUMS)).catch((cause: unknown) => {
      throw notABundle(file, `it has no ${SUMS}`, cause);
    });
    const found = await sumsOf(
      root,
      (await filesOf(root)).filter((path) => path !== SUMS),
    );
    const faults = [
      ...[...listed].flatMap(([path, sum]) => {
        const real = found.get(path);
        return real === undefined
          ? [`${path} is missing`]
          : real === sum
            ? []
            : [`${path} was changed: its sum is another`];
      }),
      ...[...found.keys()].filter((path) => !listed.has(path)).map((path) => `${path} has no sum in ${SUMS}`),
    ];
    const run = await readRun(root).catch((cause: Error) => {
      throw notABundle(file, cause.message.replace(`${root}: `, ''), cause);
    });
    const notes: string[] = [];
    if (run.result.tester.version !== version)
      notes.push(
        `verdicts and sheet were not checked: they are of tester ${run.result.tester.version}, this is ${version}`,
      );
    else if (faults.length === 0) faults.push(...(await contradictions(run, root, contract)));
    return { run: run.result, files: found.size, faults, notes };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function contradictions(run: StoredRun, root: string, contract: readonly Requirement[]): Promise<string[]> {
  const { differences } = compareRuns(run.result, await rejudge(run), run.result.selection.level);
  const sheet = await readFile(join(root, SHEET), 'utf8');
  return [
    ...(differences.length > 0
      ? [`${count(differences.length, 'verdict')} not what the timelines give: ${differences[0]!.variant} and so on`]
      : []),
    ...(sheet === renderSheet(run.result, contract) ? [] : [`${SHEET} is not what ${RESULTS} gives`]),
  ];
}

async function unpack(file: string, into: string): Promise<void> {
  packingOf(file);
  let refused: string | undefined;
  try {
    // Only plain files: links could lead out of the folder.
    const filter = (path: string, entry: object) => {
      const kind = 'type' in entry ? entry.type : undefined;
      if (kind !== 'File' && kind !== 'OldFile' && kind !== 'Directory') refused ??= `${path} is no plain file`;
      return refused === undefined;
    };
    await extract({ file, cwd: into, strict: true, filter });
  } catch (cause) {
    throw notABundle(file, (cause as Error).message, cause);
  }
  if (refused !== undefined) throw notABundle(file, refused);
}

const notABundle = (file: string, why: string, cause?: unknown) =>
  new BundleError(`${file} is not a bundle of this tester, or damaged: ${why}`, 'bundles are made by run --bundle', {
    cause,
  });

async function readSums(file: string): Promise<Map<string, string>> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}

async function sumsOf(root: string, files: readonly string[]): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const path of files) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(root, path)), hash);
    sums.set(path, hash.digest('hex'));
  }
  return sums;
}

/** Plain files below a folder, relative to it, sorted. */
async function filesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}
