import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registry } from '../../src/contract/index.js';
import { store } from '../report/synthetic.js';

/** The built program as a process of its own: signals and what is left behind cannot be seen from inside. */
const MAIN = 'dist/cli/main.js';
/** A peer that stays away for 6 s: long enough to be met by any signal. */
const LONG = 'server.absence.for-ever';

let tmp: string;
let out: string;
let child: ChildProcess | undefined;

// A compiler takes as long as the machine lets it.
beforeAll(() => {
  execFileSync('npm', ['run', '--silent', 'build']);
}, 600_000);
beforeEach(() => {
  tmp = mkdtempSync(join(tmpdir(), 'vr-'));
  out = mkdtempSync(join(tmpdir(), 'vr-out-'));
});
afterEach(() => {
  child?.kill('SIGKILL');
  for (const dir of [tmp, out]) rmSync(dir, { recursive: true, force: true });
});

/** The tester, with its temporary files below `tmp`. */
function start(...args: string[]): { stderr: () => string; exit: Promise<number | null> } {
  child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, TMPDIR: tmp },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdout!.resume();
  const exit = new Promise<number | null>((resolve) => child!.once('close', resolve));
  return { stderr: () => stderr, exit };
}

/** Processes that work below `tmp`: QEMUs of this run and of no other. */
function qemus(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${tmp}/`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function until(what: string, test: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!test()) {
    if (Date.now() > deadline) throw new Error(`${what}: not within the deadline; left in ${tmp}: ${readdirSync(tmp)}`);
    await delay(10);
  }
}

const nothingLeft = () => readdirSync(tmp).length === 0 && qemus().length === 0;

describe('the tester as a process', () => {
  it('leaves nothing behind after a run', async () => {
    const run = start('run', 'quit.connected', '--role', 'server', '--out', out);
    expect(await run.exit, run.stderr()).toBe(0);
    expect(nothingLeft()).toBe(true);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('%s writes the reports, exits 130 and leaves nothing', async (signal) => {
    const run = start('run', LONG, '--out', out);
    await until('QEMUs', () => qemus().length > 0);
    child!.kill(signal);
    expect(await run.exit, run.stderr()).toBe(130);
    expect(nothingLeft()).toBe(true);
    const [folder] = readdirSync(out);
    expect(JSON.parse(readFileSync(join(out, folder!, 'results.json'), 'utf8'))).toMatchObject({ interrupted: true });
    expect(existsSync(join(out, folder!, 'junit.xml'))).toBe(true);
    expect(existsSync(join(out, folder!, 'report.html'))).toBe(true);
  });

  it('SIGKILL leaves no QEMU, no socket and no folder', async () => {
    const run = start('run', LONG, '--out', out);
    await until('QEMUs', () => qemus().length > 0);
    child!.kill('SIGKILL');
    await run.exit;
    await until('nothing left', nothingLeft);
  });

  it('a thread judges so much of a timeline as it is told to', async () => {
    const { judgeInThread } = await import(resolve('dist/drill/judge-thread.js'));
    const stored = await store(1, 1);
    const file = join(stored.out, stored.result.variants[0]!.timeline!);
    const { length } = readFileSync(file);
    appendFileSync(file, '{"seq":');
    await expect(judgeInThread(file, length)).resolves.toHaveLength(registry.length);
    await expect(judgeInThread(file, length + 1)).rejects.toThrow('JSON');
    await stored.remove();
  });

  it('a drill whose disk is full says so once, serves on, and in the end that its record is incomplete', async () => {
    const drill = start('drill', '--spawn', '--plain', '--out', out);
    const told = createInterface({ input: child!.stdout! });
    const lines: Record<string, unknown>[] = [];
    told.on('line', (line) => lines.push(JSON.parse(line)));
    const ask = async (verb: string) => {
      const from = lines.length;
      child!.stdin!.write(`${verb}\n`);
      const [name] = verb.split(' ');
      await until(verb, () => lines.slice(from).some((line) => line.ok === true && line.verb === name));
    };
    await ask('await ready');
    // Of the tester alone: what it started has its own.
    execFileSync('prlimit', ['--pid', `${child!.pid}`, '--fsize=100000']);
    const troubles = () => lines.filter(({ type }) => type === 'tester.trouble');
    for (let i = 0; i < 200; i++) child!.stdin!.write(`note text=${'x'.repeat(1000)}\n`);
    await until('trouble', () => troubles().length > 0);
    await ask('restart away=0');
    await ask('await ready');
    child!.stdin!.write('end\n');
    expect(await drill.exit, drill.stderr()).toBe(4);
    expect(troubles()).toHaveLength(1);
    expect(troubles()[0]).toMatchObject({ what: expect.stringContaining('.jsonl'), hint: expect.any(String) });
    expect(drill.stderr()).toMatch(/^INCOMPLETE {2}the record is incomplete, .*\.jsonl: EFBIG.*\)$/m);
    expect(nothingLeft()).toBe(true);
  });

  it('a QEMU that is not there is a matter of usage', async () => {
    const run = start('run', LONG, '--out', out, '--qemu', join(out, 'nothing-here'));
    expect(await run.exit).toBe(2);
    expect(run.stderr()).toMatch(/^vhost-reconnect: .*nothing-here.*\n$/);
    expect(nothingLeft()).toBe(true);
  });

  it('a QEMU that refuses to start is no verdict on it, and ends the run in both roles', async () => {
    const qemu = join(out, 'refuses.sh');
    const script =
      '#!/bin/sh\ncase "$*" in --version|*"-machine none"*) exec qemu-system-x86_64 "$@" ;; esac\necho "no such luck" >&2\nexit 1\n';
    writeFileSync(qemu, script, { mode: 0o755 });
    const run = start('run', 'server.absence.within-timer', 'client.absence.short', '--out', out, '--qemu', qemu);
    expect(await run.exit, run.stderr()).toBe(4);
    expect(run.stderr()).toContain('no such luck');
    expect(nothingLeft()).toBe(true);
  });
  it('readers that go away change neither reports nor exit code', async () => {
    const qemu = join(out, 'crashes.sh');
    const script =
      '#!/bin/sh\ncase "$*" in --version|*"-machine none"*) exec qemu-system-x86_64 "$@" ;; esac\nkill -SEGV $$\n';
    writeFileSync(qemu, script, { mode: 0o755 });
    const reports = join(out, 'reports');
    const run = start('run', 'quit.connected', '--out', reports, '--qemu', qemu);
    child!.stdout!.destroy();
    child!.stderr!.destroy();
    expect(await run.exit).toBe(3);
    expect(existsSync(join(reports, readdirSync(reports)[0]!, 'results.json'))).toBe(true);
    expect(nothingLeft()).toBe(true);
  });

  it('output that cannot be written is told in one line, with exit code 2', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'list'], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    expect(String(stderr)).toBe('vhost-reconnect: cannot write to stdout: ENOSPC\n');
    expect(status).toBe(2);
  });
});
