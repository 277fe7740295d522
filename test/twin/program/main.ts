import { wellBehaved } from './behaviour.js';
import { faults } from './faults/index.js';
import { parseOptions } from './options.js';
import { complain } from './stderr.js';
import { Twin } from './twin.js';

const name = process.env.TWIN_FAULT;
const fault = faults.find((candidate) => candidate.name === name);
if (name !== undefined && name !== '' && !fault) {
  complain(`TWIN_FAULT=${name}: no such fault`);
  process.exit(2);
}

const options = parseOptions(process.argv.slice(2));
if (options.version) {
  process.stdout.write('QEMU emulator version 10.0.0 (twin)\n');
} else {
  const behaviour = { ...wellBehaved, ...fault?.behaviour };
  const refused = options.chardev?.refused.find(({ option }) => behaviour.refusesOption(option));
  if (refused) {
    complain(`-chardev socket,id=${options.chardev!.id}: ${refused.why}`);
    process.exit(1);
  }
  await new Twin(options, behaviour).start();
}
