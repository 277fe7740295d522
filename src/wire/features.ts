import * as protocol from './bits/protocol.js';
import * as vhost from './bits/vhost.js';
import * as virtio from './bits/virtio.js';
import * as virtioNet from './bits/virtio-net.js';

type BitTable<N extends string> = Readonly<Record<N, number>>;

/** Name of a feature bit of GET_FEATURES and SET_FEATURES. */
export type FeatureName = keyof typeof virtio | keyof typeof virtioNet | keyof typeof vhost;

/** Name of a protocol feature bit. */
export type ProtocolFeatureName = keyof typeof protocol;

/** Bit numbers by name: features of every virtio device. */
export const virtioFeatures: BitTable<keyof typeof virtio> = { ...virtio };
/** Bit numbers by name: features of the network device. */
export const virtioNetFeatures: BitTable<keyof typeof virtioNet> = { ...virtioNet };
/** Bit numbers by name: features that vhost adds. */
export const vhostFeatures: BitTable<keyof typeof vhost> = { ...vhost };
/** Bit numbers by name: protocol features. */
export const protocolFeatures: BitTable<ProtocolFeatureName> = { ...protocol };

/** The mask of a bit number. */
export function bit(n: number): bigint {
  return 1n << BigInt(n);
}

/** Names by bit number; where tables share a number, the earlier table names it. */
function namesByBit(...tables: Readonly<Record<string, number>>[]): ReadonlyMap<number, string> {
  return new Map(tables.reverse().flatMap((table) => Object.entries(table).map(([name, n]) => [n, name] as const)));
}

const names = namesByBit(virtioFeatures, virtioNetFeatures, vhostFeatures);
const protocolNames = namesByBit(protocolFeatures);

function namesIn(bits: bigint, table: ReadonlyMap<number, string>): string[] {
  const found: string[] = [];
  for (let n = 0, rest = bits; rest > 0n; n++, rest >>= 1n) if ((rest & 1n) !== 0n) found.push(table.get(n) ?? `#${n}`);
  return found;
}

/** Names of the feature bits that are set, lowest first; `#58` where a bit has no name. */
export function featureNames(bits: bigint): string[] {
  return namesIn(bits, names);
}

/** Names of the protocol feature bits that are set, lowest first; `#40` where a bit has no name. */
export function protocolFeatureNames(bits: bigint): string[] {
  return namesIn(bits, protocolNames);
}
