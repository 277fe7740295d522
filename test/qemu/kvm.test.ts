import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { guestAccel } from '../../src/qemu/index.js';
import { scratch } from './support.js';

const WITH = { accelerators: new Set(['tcg', 'kvm'] as const) };
const WITHOUT = { accelerators: new Set(['tcg'] as const) };

it('chooses KVM for a binary that has it, on a machine that lets it use it and whose CPU can', async () => {
  const dir = await scratch();
  const files = { device: join(dir, 'kvm'), cpuinfo: join(dir, 'cpuinfo') };
  const cpu = (flags: string) =>
    writeFile(files.cpuinfo, `processor\t: 0\nflags\t\t: fpu ${flags} lm\nbugs\t\t: svm\n`);
  await cpu('vmx');
  expect(await guestAccel(WITH, files)).toBe('auto');
  await writeFile(files.device, '');
  expect(await guestAccel(WITH, files)).toBe('kvm');
  expect(await guestAccel(WITHOUT, files)).toBe('auto');
  await cpu('svm');
  expect(await guestAccel(WITH, files)).toBe('kvm');
  await cpu('svm_lock');
  expect(await guestAccel(WITH, files)).toBe('auto');
});
