import { release } from 'node:os';
import { expect, it } from 'vitest';
import { host, prettyName } from '../../src/os/index.js';

it('tells of the machine what uname and os-release tell', async () => {
  const { kernel, cpus, distribution } = await host();
  expect(kernel).toBe(release());
  expect(cpus).toBeGreaterThan(0);
  expect(distribution === null || distribution.length > 0).toBe(true);
});

it.each([
  ['NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', 'Debian GNU/Linux 12 (bookworm)'],
  ["PRETTY_NAME='A'\n", 'A'],
  ['PRETTY_NAME=Plain\n', 'Plain'],
  ['PRETTY_NAME="a \\"b\\" \\$c"\n', 'a "b" $c'],
  ['NAME=x\nPRETTY_NAME=\n', undefined],
  ['', undefined],
])('reads the name of %j', (text, name) => {
  expect(prettyName(text)).toBe(name);
});
