import { findQemu, machineTypes, probe, type QemuFacts } from '../qemu/index.js';
import { type Finding, messageOf } from './finding.js';

/**
 * What can be said of the QEMU under test.
 * @param explicit as given by --qemu
 */
export async function qemuFindings(explicit?: string): Promise<Finding[]> {
  try {
    return describe(await probe(await findQemu(explicit)));
  } catch (error) {
    return [{ state: 'fail', what: 'QEMU', found: messageOf(error), advice: 'there is nothing to test' }];
  }
}

function describe(facts: QemuFacts): Finding[] {
  const machines = machineTypes.filter((machine) => facts.machines.has(machine));
  const accelerators = [...facts.accelerators];
  const fine = facts.reconnectOption === 'reconnect-ms';
  return [
    { state: 'ok', what: 'QEMU', found: `${facts.path}, ${facts.versionText}` },
    machines.length > 0
      ? { state: 'ok', what: 'machines', found: machines.join(', ') }
      : { state: 'fail', what: 'machines', found: 'none', advice: `one of ${machineTypes.join(', ')} is needed` },
    accelerators.some((accelerator) => accelerator !== 'kvm')
      ? { state: 'ok', what: 'accelerators', found: accelerators.join(', ') }
      : {
          state: 'fail',
          what: 'accelerators',
          found: accelerators.join(', ') || 'none',
          advice: 'tcg or qtest is needed',
        },
    facts.qtest
      ? { state: 'ok', what: 'qtest server', found: 'there' }
      : { state: 'fail', what: 'qtest server', found: 'missing', advice: 'the guest driver cannot be run' },
    fine
      ? { state: 'ok', what: 'retry option', found: 'reconnect-ms' }
      : { state: 'ok', what: 'retry option', found: 'reconnect, in seconds; cases that need fractions are skipped' },
  ];
}
