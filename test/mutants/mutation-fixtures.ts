import { existsSync, watch, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Catch } from './catches.js';
import { type Defect, type DefectResult, resultOf } from './score.js';

/** A folder that is gone after the test. */
export async function temporary(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'vr-mutation-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** What one requirement caught in one variant. */
export function caught(requirement: string, over: Partial<Catch> = {}): Catch {
  return { requirement, variant: 'a.b[role=server]', kind: 'violation', seen: 'something', detectedMs: 100, ...over };
}

/** A defect with what it was caught by. */
export function result(defect: Partial<Defect>, ...catches: Catch[]): DefectResult {
  const whole = { id: 'theme.name', title: 'QEMU does something wrong', ...defect };
  return resultOf(whole, { catches, inconclusive: [] }, 24_000, 1);
}

/**
 * A stand-in for the tester: asks the QEMU which defect it has, and answers with the canned result of that name from the
 * folder `canned`, as the tester leaves it. Without one it waits until it is ended.
 */
const FAKE_SUITE = `
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
const [canned, command, ...args] = process.argv.slice(2);
const option = (name) => args[args.indexOf(name) + 1];
const own = Object.keys(process.env).filter((name) => name.startsWith('VHOST_RECONNECT_'));
if (command !== 'run' || own.length > 0) {
  console.error('odd call: ' + [command, ...own]);
  process.exit(2);
}
const name = args.includes('--qemu') ? execFileSync(option('--qemu'), { encoding: 'utf8' }).trim() : 'installed';
const file = canned + '/' + name + '.json';
if (!existsSync(file)) {
  process.on('SIGTERM', () => {
    writeFileSync(canned + '/ended-' + name, String(process.pid));
    process.exit(130);
  });
  writeFileSync(canned + '/waits-' + name, String(process.pid));
  setInterval(() => {}, 1000);
} else {
  const { code, said, after, ...result } = JSON.parse(readFileSync(file, 'utf8'));
  await new Promise((resolve) => {
    const watcher = watch(canned, look);
    look();
    function look() {
      if (after && !existsSync(canned + '/waits-' + after)) return;
      watcher.close();
      resolve();
    }
  });
  console.error(args.join(' '));
  if (said) console.error(said);
  if (result.variants) {
    const out = option('--out') + '/2026-01-02T03-04-05';
    mkdirSync(out + '/timelines', { recursive: true });
    writeFileSync(out + '/results.json', JSON.stringify(result));
    const begin = { seq: 0, t: 0.5, type: 'run.begin', schema: 1 };
    for (const { timeline } of result.variants)
      writeFileSync(out + '/' + timeline, JSON.stringify(begin) + '\\n' + JSON.stringify({ seq: 1, t: 9, type: 'run.end' }));
  }
  process.exit(code ?? 0);
}
`;

/** A QEMU that says which defect it has. */
const FAKE_QEMU = '#!/bin/sh\nprintenv VHOST_RECONNECT_DEFECT || echo no-defect\n';

/** A stand-in for tester and QEMU. */
export interface FakeSuite {
  suite: string[];
  qemu: string;
  out: string;
  /** Says what a run against a defect (or `installed`, `no-defect`) answers: a RunResult, `code`, `said`, and `after` which other run waits. */
  answer(name: string, result: object): void;
  /** Names of the runs that were told to end, and did. */
  ended(): Promise<string[]>;
  /** Resolves once a run waits. */
  waits(name: string): Promise<void>;
}

export async function fakeSuite(): Promise<FakeSuite> {
  const dir = await temporary();
  const program = join(dir, 'suite.mjs');
  const qemu = join(dir, "fake qemu's");
  await writeFile(program, FAKE_SUITE);
  await writeFile(qemu, FAKE_QEMU, { mode: 0o755 });
  return {
    suite: [process.execPath, program, dir],
    qemu,
    out: join(dir, 'out'),
    answer: (name, answer) => writeFileSync(join(dir, `${name}.json`), JSON.stringify(answer)),
    ended: async () => (await readdir(dir)).flatMap((name) => /^ended-(.*)/.exec(name)?.[1] ?? []),
    waits: (name) =>
      new Promise((resolve) => {
        const watcher = watch(dir, look);
        look();
        function look() {
          if (!existsSync(join(dir, `waits-${name}`))) return;
          watcher.close();
          resolve();
        }
      }),
  };
}
