import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import type { AccelChoice } from './command-line.js';
import type { QemuFacts } from './facts.js';

/**
 * The accelerator for a guest that boots: KVM where the binary and this machine have it, else `auto`. A /dev/kvm that may be
 * opened is not enough: it is of use on a CPU that can run guests.
 * @param files where the kernel tells; others for a test
 */
export async function guestAccel(
  { accelerators }: Pick<QemuFacts, 'accelerators'>,
  files = { device: '/dev/kvm', cpuinfo: '/proc/cpuinfo' },
): Promise<AccelChoice> {
  if (!accelerators.has('kvm')) return 'auto';
  try {
    await access(files.device, constants.R_OK | constants.W_OK);
    return /^flags\s*:.*\b(?:vmx|svm)\b/m.test(await readFile(files.cpuinfo, 'latin1')) ? 'kvm' : 'auto';
  } catch {
    return 'auto';
  }
}
