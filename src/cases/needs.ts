import { atLeast, type QemuFacts } from '../qemu/index.js';
import type { Variant } from './types.js';

/** @returns why this QEMU cannot run the variant, or undefined when it can. */
export function missing(
  variant: Pick<Variant, 'needs' | 'machine'>,
  facts: Pick<QemuFacts, 'machines' | 'reconnectOption' | 'version'>,
): string | undefined {
  if (!facts.machines.has(variant.machine)) return `this QEMU has no machine ${variant.machine}`;
  if (variant.needs.includes('reconnect-ms') && facts.reconnectOption !== 'reconnect-ms')
    return 'this QEMU has no reconnect-ms, and reconnect takes whole seconds only (reconnect-ms came with QEMU 9.2)';
  for (const need of variant.needs) {
    const [, major, minor] = /^qemu-(\d+)\.(\d+)$/.exec(need) ?? [];
    if (major !== undefined && !atLeast(facts, Number(major), Number(minor)))
      return `this QEMU is older than ${major}.${minor}`;
  }
  return undefined;
}
