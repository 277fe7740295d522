import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { isDeepStrictEqual } from 'node:util';
import * as zlib from 'node:zlib';
import { create, extract } from 'tar';
import type { Requirement } from '../contract/index.js';
import {
  EXPECTED,
  exitCode,
  RESULTS,
  readRun,
  rejudge,
  type StoredRun,
  StoredRunError,
  summarise,
  type VariantResult,
} from '../runner/index.js';
import { reportsOf } from './files.js';
import { count } from './format.js';
import { renderDocument } from './html/document.js';
import { PAGE } from './html.js';
import { renderSheet } from './sheet.js';

/** Sums of all other files, as sha256sum writes and checks them. */
export const SUMS = 'SHA256SUMS';
/** The summary sheet. */
export const SHEET = 'SUMMARY.txt';

/** What a file name says of how a bundle is packed. */
const endings = { '.tgz': 'gzip', '.tar.gz': 'gzip', '.tar.zst': 'zstd' } as const;

/** So many bytes of a bundle's files to one of its own at most: what was recorded of QEMUs comes to a tenth of that. */
const MAX_RATIO = 100;

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
 * Checks a bundle: every file has its sum and none is beside them; the timelines, judged again, give the verdicts in it, and
 * these its summary; sheet and reports are what the results say. All but the sums need the tester's version that made it;
 * another one gives a note.
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
        `verdicts, sheet and reports were not checked: they are of tester ${run.result.tester.version}, this is ${version}`,
      );
    else if (faults.length === 0) faults.push(...(await contradictions(run, contract)));
    return { run: run.result, files: found.size, faults, notes };
  } finally {
    // What could not be unpacked may still be writing files that it had begun.
    await rm(staging, { recursive: true, force: true, maxRetries: 10 });
  }
}

async function contradictions(run: StoredRun, contract: readonly Requirement[]): Promise<string[]> {
  const { dir, result } = run;
  const fresh = await rejudge(run).catch((error: unknown) => {
    if (error instanceof StoredRunError) return error.message.replaceAll(`${dir}/`, '');
    throw error;
  });
  if (typeof fresh === 'string') return [fresh];
  const wrong = result.variants.filter((variant, i) => !isDeepStrictEqual(said(variant), said(fresh.variants[i]!)));
  const sum = { summary: summarise(result.variants), notRun: result.notRun, interrupted: result.interrupted };
  const [first, ...more] = wrong.map(({ variant }) => variant);
  return [
    ...(first === undefined
      ? []
      : [
          `${count(wrong.length, 'verdict')} not what the timelines give: ${first}${more.length > 0 ? ' and so on' : ''}`,
        ]),
    ...(isDeepStrictEqual(result.summary, sum.summary) && result.exitCode === exitCode(sum)
      ? []
      : [`summary and exit code in ${RESULTS} are not what its verdicts give`]),
    ...(await changedExpectations(run)),
    ...(await changedReports(run, contract)),
  ];
}

/** What a result says that its timeline alone decides, as JSON has it. */
function said({ verdict, kind, reason, requirements, outages, stalls, durationMs, excerpt }: VariantResult): unknown {
  return JSON.parse(JSON.stringify({ verdict, kind, reason, requirements, outages, stalls, durationMs, excerpt }));
}

async function changedExpectations({ dir, result }: StoredRun): Promise<string[]> {
  const sha256 = result.expectations?.sha256;
  if (sha256 === undefined) return [];
  const [sum] = (await sumsOf(dir, [EXPECTED]).catch(() => new Map<string, string>())).values();
  return sum === sha256 ? [] : [`${EXPECTED} is not what the run was judged by`];
}

/** Sheet and reports that are there, but not what the results give. Who runs variants by the library may have others. */
async function changedReports({ dir, result }: StoredRun, contract: readonly Requirement[]): Promise<string[]> {
  const rendered = {
    [SHEET]: renderSheet(result, contract),
    ...reportsOf(result, contract),
    [PAGE]: await text(renderDocument(result, dir, contract)),
  };
  const faults: string[] = [];
  for (const [name, wanted] of Object.entries(rendered)) {
    const stored = await readFile(join(dir, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (stored !== wanted && (stored !== undefined || name === SHEET))
      faults.push(`${name} is not what ${RESULTS} gives`);
  }
  return faults;
}

async function unpack(file: string, into: string): Promise<void> {
  packingOf(file);
  let refused: string | undefined;
  try {
    const paths = new Set<string>();
    const filter = (path: string, entry: object) => {
      const kind = 'type' in entry ? entry.type : undefined;
      // Links could lead out of the folder.
      if (kind !== 'File' && kind !== 'OldFile' && kind !== 'Directory') refused ??= `${path} is no plain file`;
      // Who unpacks it with another program could see the other one.
      if (kind !== 'Directory' && paths.has(path)) refused ??= `${path} is in it twice`;
      paths.add(path);
      return refused === undefined;
    };
    await extract({ file, cwd: into, strict: true, filter, maxDecompressionRatio: MAX_RATIO });
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
