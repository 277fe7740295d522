import type { MachineExtra, MachineType } from '../qemu/index.js';
import type { Json, Ms, Role } from '../timeline/index.js';
import type { RingLayout } from '../virtio/index.js';
import type { DriverChoice, Selection } from './definition.js';
import type { Scalar } from './placeholder.js';

/** One step, ready to run: `params` is what the verb's schema made of the file's value. */
export interface Step {
  verb: string;
  params: unknown;
}

/** What makes a dry run of a point, or of a variant: a key of the matrix gets its values by running it. */
export interface Discovery<T> {
  key: string;
  /** The same with another value for the key. @throws for a value that the case's steps do not take */
  with(value: string): T;
}

/** One combination of the matrix. */
export interface Point {
  params: Readonly<Record<string, Scalar>>;
  driver: DriverChoice;
  queuePairs: number;
  /** Layout of the rings that the device offers. */
  ring: RingLayout;
  /** For the client role; 0 = never. */
  reconnectMs: Ms;
  /** Guest RAM in bytes. */
  memory: number;
  /** MTU of the device, where it has one. */
  mtu?: number;
  /** Options of the chardev that QEMU may refuse, by name. */
  chardev?: Readonly<Record<string, string>>;
  /** What the machine has besides. */
  extras?: readonly MachineExtra[];
  start: 'peer-first' | 'qemu-first';
  profile?: string;
  steps: readonly Step[];
  minimumMs: Ms;
  discovery?: Discovery<Point>;
}

/** A loaded and fully validated case. */
export interface Case {
  id: string;
  title: string;
  level: 'must' | 'should' | 'info';
  why: string;
  references: readonly string[];
  roles: readonly Role[];
  machines: readonly MachineType[];
  needs: readonly string[];
  /** Path of its file, relative to the working directory where that is shorter. */
  file: string;
  points: readonly Point[];
  exclude: readonly Readonly<Record<string, Scalar>>[];
  selections: Readonly<Record<'quick' | 'standard', readonly Readonly<Record<string, Scalar>>[]>>;
}

/** One run of a case: one role, one machine, one combination of the matrix. */
export interface Variant {
  /** `case-id[key=value,...]`: the role where the case has both, the matrix, the machine unless it is q35. */
  id: string;
  caseId: string;
  title: string;
  level: 'must' | 'should' | 'info';
  why: string;
  references: readonly string[];
  role: Role;
  machine: MachineType;
  /** On the machine that the case runs on where nobody asks for another. */
  usual: boolean;
  driver: DriverChoice;
  queuePairs: number;
  /** Layout of the rings that the device offers. */
  ring: RingLayout;
  /** QEMU's reconnect interval; 0 = never, and always 0 for a server. */
  reconnectMs: Ms;
  /** Guest RAM in bytes. */
  memory: number;
  /** MTU of the device, where it has one. */
  mtu?: number;
  /** Options of the chardev that QEMU may refuse, by name. */
  chardev?: Readonly<Record<string, string>>;
  /** What the machine has besides. */
  extras?: readonly MachineExtra[];
  /** Whether the peer is there before QEMU starts. */
  start: 'peer-first' | 'qemu-first';
  /** The profile that the case asks for; absent = the run's. */
  profile?: string;
  /** What the binary must have, by the names of needs.ts. */
  needs: readonly string[];
  steps: readonly Step[];
  params: Record<string, Json>;
  /** Sum of the durations that the steps ask for: the variant cannot be shorter. */
  minimumMs: Ms;
  /** The smallest selection that has it. */
  selection: Selection;
  discovery?: Discovery<Variant>;
}
