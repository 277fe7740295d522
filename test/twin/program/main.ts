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
  await new Twin(options, { ...wellBehaved, ...fault?.behaviour }).start();
}
