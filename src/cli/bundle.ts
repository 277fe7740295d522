import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { registry } from '../contract/index.js';
import { checkBundle, conformance, count, printable, writeBundle } from '../report/index.js';
import { readRun } from '../runner/index.js';
import { type Context, EXIT } from './io.js';
import { tester } from './package.js';

const buildBundle = (argv: Argv) =>
  argv
    .positional('run', { type: 'string', demandOption: true, describe: "A run's folder, or its results.json" })
    .positional('file', { type: 'string', demandOption: true, describe: 'To be written: .tgz, or .tar.zst' })
    .example('$0 bundle reports/2026-11-23T09-00-00 certification.tgz', 'what a vendor hands over');

const buildVerify = (argv: Argv) =>
  argv.positional('file', { type: 'string', demandOption: true, describe: 'A bundle' });

type BundleArguments = ReturnType<ReturnType<typeof buildBundle>['parseSync']>;
type VerifyArguments = ReturnType<ReturnType<typeof buildVerify>['parseSync']>;

/** `bundle`: a run as one file, to hand over. */
export function bundleCommand({ io }: Context): CommandModule<object, BundleArguments> {
  return {
    command: 'bundle <run> <file>',
    describe: 'Pack a run with a summary sheet and checksums',
    builder: buildBundle,
    handler: async (argv) => {
      const file = resolve(io.cwd, argv.file);
      await writeBundle(await readRun(resolve(io.cwd, argv.run)), file, registry);
      io.stdout.write(`${file}\n`);
    },
  };
}

/** `verify`: whether a bundle is whole, and its verdicts are what its timelines give. */
export function verifyCommand({ io, exit }: Context): CommandModule<object, VerifyArguments> {
  return {
    command: 'verify <file>',
    describe: 'Check a bundle: checksums, and the verdicts against its timelines',
    builder: buildVerify,
    handler: async (argv) => {
      const { run, files, faults, notes } = await checkBundle(resolve(io.cwd, argv.file), tester.version, registry);
      const must = run.selection.roles.map((role) => `${role} ${conformance(run, registry, role, 'must')}`);
      const lines = [
        `QEMU ${run.qemu.version}, tested ${run.startedAt} by ${run.tester.name} ${run.tester.version}`,
        `must: ${must.join(', ')}`,
        ...notes.map((note) => `NOTE  ${note}`),
        ...faults.map((fault) => `FAULT  ${fault}`),
        faults.length > 0
          ? `NOT SOUND  ${count(faults.length, 'fault')} in ${count(files, 'file')}`
          : `SOUND  ${count(files, 'file')} as they were made${notes.length > 0 ? '' : `, ${count(run.variants.length, 'verdict')} as the timelines give them`}`,
      ];
      io.stdout.write(lines.map((line) => `${printable(line)}\n`).join(''));
      exit(faults.length > 0 ? EXIT.failed : EXIT.ok);
    },
  };
}
