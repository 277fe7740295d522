import type { Role } from '../../src/timeline/index.js';
import type { Deviation } from './comparison.js';
import type { PhaseName, Transcript } from './transcript.js';

/**
 * A difference between what QEMU sent when the transcripts were recorded, with a Linux guest and the real back-end, and
 * what it sends to the mock peer with the guest driver; why it is there; and where.
 */
export interface Difference extends Deviation {
  reason: string;
  phases: readonly PhaseName[];
  /** The transcripts that it is in: those that have all of this. */
  qemu?: string;
  role?: Role;
  profiles?: readonly string[];
  pairs?: number;
}

/** Phases in which a device starts. */
const STARTS: readonly PhaseName[] = ['boot', 'after-kill', 'after-exit', 'after-loss', 'cont', 'reset'];

const announce = (recorded: string, seen: string, where: Partial<Difference>): Difference => ({
  reason:
    'The guest driver declines VIRTIO_NET_F_GUEST_ANNOUNCE (bit 21), which Linux accepts: QEMU then announces by SEND_RARP.',
  phases: STARTS,
  recorded: [`2 SET_FEATURES 0x1 8 value=${recorded}`],
  seen: [`2 SET_FEATURES 0x1 8 value=${seen}`],
  ...where,
});

const ringSize = (index: number): Difference => ({
  reason: 'QEMU 10.0 offers 1024 entries, which Linux takes; the guest driver takes 256 at most.',
  qemu: '10.0.13',
  phases: STARTS,
  recorded: [`8 SET_VRING_NUM 0x1 8 index=${index} num=1024`],
  seen: [`8 SET_VRING_NUM 0x1 8 index=${index} num=256`],
});

/** Every difference there is. `judge` holds that each is there, and no other. */
export const differences: readonly Difference[] = [
  announce('0x17020a782', '0x17000a782', { profiles: ['ovs-dpdk-2.15', 'ovs-dpdk-3.1'], pairs: 1 }),
  announce('0x17060a782', '0x17040a782', { profiles: ['ovs-dpdk-2.15', 'ovs-dpdk-3.1'], pairs: 2 }),
  announce('0x17020a782', '0x17000a782', { profiles: ['ovs-dpdk-3.5', 'ovs-dpdk-4.0'], role: 'client' }),
  announce('0x17020a783', '0x17000a783', { profiles: ['ovs-dpdk-3.5', 'ovs-dpdk-4.0'], role: 'server' }),
  announce('0x17020e783', '0x17000e783', { profiles: ['testpmd-22.11'] }),
  {
    reason:
      'SeaBIOS opens the shadow RAM below 1 MiB (registers PAM0 to PAM6 of the host bridge), so that the guest has RAM ' +
      'in one piece; the BIOS that only halts leaves 0xc0000-0xdffff and 0xf0000-0xfffff to the ROMs.',
    phases: STARTS,
    recorded: ['5 SET_MEM_TABLE 0x9 40 region=0x0+0x10000000@*:0x0 fds=1'],
    seen: [
      '5 SET_MEM_TABLE 0x9 104 region=0x0+0xc0000@*:0x0 region=0xe0000+0x10000@*:0xe0000 region=0x100000+0xff00000@*:0x100000 fds=3',
    ],
  },
  ringSize(0),
  ringSize(1),
  {
    reason:
      'A guest whose firmware is SeaBIOS is reset once more by it when QMP reset it (QEMU tells RESET again): two more ' +
      'times that the rings are enabled. The BIOS that only halts does not do that.',
    qemu: '7.2.22',
    role: 'client',
    profiles: ['ovs-dpdk-3.1'],
    pairs: 1,
    phases: ['reset'],
    recorded: [0, 1, 0, 1].map((index) => `18 SET_VRING_ENABLE 0x1 8 index=${index} num=1`),
    seen: [],
  },
];

/** The differences of one transcript. */
export function differencesOf({ qemu, role, profile, pairs }: Transcript): Difference[] {
  return differences.filter(
    (one) =>
      (one.qemu ?? qemu) === qemu &&
      (one.role ?? role) === role &&
      (one.pairs ?? pairs) === pairs &&
      (one.profiles?.includes(profile) ?? true),
  );
}
