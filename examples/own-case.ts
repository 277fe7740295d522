// A case of one's own, written in TypeScript, run against a QEMU beside a case of the catalogue.
// Usage: own-case [QEMU]
import {
  builtinCases,
  ConsoleReporter,
  defineCase,
  expand,
  FileReporter,
  findQemu,
  loadCatalogue,
  missing,
  probe,
  registry,
  run,
  vocabulary,
} from 'vhost-reconnect';

const own = defineCase({
  id: 'vendor.two-upgrades',
  title: 'Two upgrades in a row are one outage each',
  level: 'must',
  why: 'The host is upgraded agent by agent; each restarts OVS.',
  references: ['contract:R7', 'contract:T1'],
  roles: ['server', 'client'],
  machines: ['microvm'],
  matrix: { away: ['50ms', '400ms'] },
  driver: 'linux',
  steps: [
    { peer: 'connect' },
    { await: 'ready' },
    { traffic: 64 },
    {
      repeat: {
        times: 2,
        steps: [{ restart: { leave: 'abort', away: '$away', back: 'same' } }, { await: 'ready' }, { traffic: 64 }],
      },
    },
  ],
});

const facts = await probe(await findQemu(process.argv[2]));
const catalogue = await loadCatalogue([builtinCases], vocabulary);
const stock = catalogue.filter(({ id }) => id === 'quit.connected');
const variants = [own, ...stock]
  .flatMap((one) => expand(one, { roles: ['server', 'client'], machines: ['microvm'] }))
  .filter((variant) => missing(variant, facts) === undefined);

const { summary, exitCode } = await run({
  variants,
  facts,
  out: 'reports/own-case',
  reporters: [new FileReporter(registry), new ConsoleReporter({ ...process, contract: registry, quiet: true })],
  tester: { name: 'own-case', version: '1.0.0' },
});
console.log(`${summary.pass} of ${summary.total} pass`);
process.exitCode = exitCode;
