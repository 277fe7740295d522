import type { Argv, CommandModule } from 'yargs';
import { paint, printable, wantsColour } from '../report/index.js';
import type { Finding } from './finding.js';
import { type Context, EXIT, type Io } from './io.js';
import * as machine from './machine-checks.js';
import { qemuOption, withSettings } from './options.js';
import { qemuFindings } from './qemu-checks.js';

const build = (argv: Argv) => qemuOption(argv);
type DoctorArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `doctor`: what this machine has and lacks, and what follows. Exit code 0 when runs are possible, else 2. */
export function doctorCommand({ io, settings, exit }: Context): CommandModule<object, DoctorArguments> {
  return {
    command: 'doctor',
    describe: 'Check what this machine and its QEMU can do',
    builder: (argv: Argv) => build(withSettings(argv, settings, 'qemu')),
    handler: async ({ qemu }) => {
      const findings = await examine(qemu);
      io.stdout.write(`${render(findings, io).join('\n')}\n`);
      exit(findings.some(({ state }) => state === 'fail') ? EXIT.usage : EXIT.ok);
    },
  };
}

async function examine(qemu: string | undefined): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of [machine.node, machine.sharedMemory, machine.temporaryFolder, machine.openFiles, machine.cores])
    findings.push(await check());
  findings.push(...(await qemuFindings(qemu)));
  for (const check of [machine.setpriv, machine.gdb, machine.coreDumps, machine.kvm]) findings.push(await check());
  return findings;
}

function render(findings: readonly Finding[], io: Io): string[] {
  const { good, warn, bad, bold } = paint(wantsColour(io.stdout, io.env));
  const marks = { ok: good('ok  '), warn: warn('note'), fail: bad('FAIL') };
  const lines = findings.map(
    ({ state, what, found, advice }) =>
      `${marks[state]}  ${what.padEnd(16)}  ${printable(found)}${advice ? `: ${advice}` : ''}`,
  );
  const failed = findings.filter(({ state }) => state === 'fail').map(({ what }) => what);
  const verdict = failed.length === 0 ? good('usable') : bad(`not usable: ${failed.join(', ')}`);
  return [...lines, '', `This machine is ${bold(verdict)}`];
}
