/** What one QEMU binary is and can do. */
export interface QemuFacts {
  /** Absolute path of what was probed: the binary, or a script that executes it. */
  path: string;
  /** Absolute path of the binary itself: the same, or what the script executes. */
  binary: string;
  /** `major.minor.micro`. */
  version: string;
  /** First line of `--version`, with the vendor's package version. */
  versionText: string;
  /** Machine types, aliases included. */
  machines: ReadonlySet<string>;
  /** Accelerators that are built in or installed; KVM may still be out of reach at run time. */
  accelerators: ReadonlySet<Accelerator>;
  /** The chardev option that sets the retry interval: seconds, or milliseconds (from 9.2; alone from 10.2). */
  reconnectOption: 'reconnect' | 'reconnect-ms';
  /** Every option of -chardev that the binary lists (query-command-line-options), of whatever kind of chardev. */
  chardevOptions: ReadonlySet<string>;
  /** Which of the device and object types that a command line needs are there. */
  types: ReadonlySet<NeededType>;
  /** Whether the qtest server (not the accelerator) is there. */
  qtest: boolean;
}

/** The accelerators the tester can use, the preferred first; KVM only when it is asked for. */
export const accelerators = ['tcg', 'qtest', 'kvm'] as const;
export type Accelerator = (typeof accelerators)[number];

/** QOM types that commandLine() puts on a command line. */
export const neededTypes = [
  'memory-backend-memfd',
  'virtio-net-pci',
  'virtio-net-device',
  'pc-dimm',
  'virtio-balloon-pci',
] as const;
export type NeededType = (typeof neededTypes)[number];

/** Whether the version is `major.minor` or newer. */
export function atLeast({ version }: Pick<QemuFacts, 'version'>, major: number, minor: number): boolean {
  const [itsMajor = 0, itsMinor = 0] = version.split('.').map(Number);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
}
