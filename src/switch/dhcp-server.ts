import { ANY_IPV4, BROADCAST_IPV4, BROADCAST_MAC, ipv4Text, macText } from './address.js';
import { AddressPool } from './address-pool.js';
import type { Answer, Outcome } from './answer.js';
import { buildDhcp, DHCP_OPTION, DHCP_PORT, DHCP_TYPE, type DhcpRequest, parseDhcp } from './dhcp-message.js';
import { buildIpv4Packet, PROTOCOL } from './ipv4.js';
import { buildDatagram } from './udp.js';

/** One hour, so that a guest renews after half of it. In s. */
const LEASE_S = 3600;
/** Addresses that are lent, in the host's network: .100 to .199. */
const POOL = { first: 100, size: 100 } as const;
const LONGEST_PREFIX = 24;

type Type = (typeof DHCP_TYPE)[keyof typeof DHCP_TYPE];

/**
 * Lends addresses of the host's network, with the host as the router (RFC 2131). A client is known by its MAC, whatever its
 * client identifier, so that a boot loader and the system after it have the same address. The server knows nothing of what was
 * lent before it started, and so lends any address again that is free.
 */
export class DhcpServer {
  readonly #address: Buffer;
  readonly #mask: Buffer;
  readonly #pool: AddressPool;

  /** `now`: a clock in ms. @throws RangeError when the network has no room for the pool */
  constructor({ address, prefix, now }: { address: Buffer; prefix: number; now: () => number }) {
    if (prefix > LONGEST_PREFIX) throw new RangeError(`/${prefix}: expected /${LONGEST_PREFIX} or shorter, for a pool`);
    this.#address = address;
    this.#mask = numberToAddress(2 ** 32 - 2 ** (32 - prefix));
    const own = address.readUInt32BE();
    const first = own - (own % 2 ** (32 - prefix)) + POOL.first;
    const addresses = Array.from({ length: POOL.size }, (_, i) => first + i).filter((one) => one !== own);
    this.#pool = new AddressPool(addresses, now);
  }

  /** Answers what was sent to the server's port. A relay's is left alone. */
  answer(bytes: Buffer): Outcome {
    const request = parseDhcp(bytes);
    if (typeof request === 'string') return request;
    if (!request.giaddr.equals(ANY_IPV4)) return undefined;
    const server = request.options.get(DHCP_OPTION.serverId);
    const isAnothers = server && !server.equals(this.#address);
    const mac = macText(request.mac);
    switch (request.type) {
      case DHCP_TYPE.discover:
        return this.#offer(request, mac);
      case DHCP_TYPE.request:
        if (!isAnothers) return this.#lend(request, mac);
        // It has taken another server's offer.
        this.#pool.release(mac);
        return undefined;
      case DHCP_TYPE.inform:
        return this.#build(request, DHCP_TYPE.ack);
      case DHCP_TYPE.release:
        if (!isAnothers) this.#pool.release(mac);
        return 'done';
      case DHCP_TYPE.decline:
        if (!isAnothers) this.#pool.decline(mac, 1000 * LEASE_S);
        return 'done';
      default:
        return undefined;
    }
  }

  #offer(request: DhcpRequest, mac: string): Outcome {
    const address = this.#pool.offer(mac, requested(request));
    if (address === undefined) return 'pool-exhausted';
    return this.#build(request, DHCP_TYPE.offer, numberToAddress(address));
  }

  /** A client that has just got an offer or was started again names the address in an option, one that renews has it. */
  #lend(request: DhcpRequest, mac: string): Outcome {
    const wanted = requested(request) ?? request.ciaddr.readUInt32BE();
    if (!this.#pool.lend(mac, wanted, 1000 * LEASE_S)) return this.#build(request, DHCP_TYPE.nak);
    const address = numberToAddress(wanted);
    return {
      ...this.#build(request, DHCP_TYPE.ack, address),
      notice: { kind: 'lease', mac, address: ipv4Text(address) },
    };
  }

  /** The receiver is as in RFC 2131, 4.1; a refused client has no address that it may be sent to at. */
  #build(request: DhcpRequest, type: Type, yiaddr?: Buffer): Answer {
    const isRefusal = type === DHCP_TYPE.nak;
    const known = [request.ciaddr, request.broadcast ? undefined : yiaddr].find((one) => one && !one.equals(ANY_IPV4));
    const destination = isRefusal || !known ? BROADCAST_IPV4 : known;
    const data = buildDhcp(request, { yiaddr, options: this.#options(request, type, yiaddr) });
    const addresses = { source: this.#address, destination };
    const payload = buildDatagram({ from: DHCP_PORT.server, to: DHCP_PORT.client, data }, addresses);
    return {
      payload: buildIpv4Packet({ ...addresses, protocol: PROTOCOL.udp, payload }),
      ...(destination === BROADCAST_IPV4 && { to: BROADCAST_MAC }),
    };
  }

  /** A client that has sent its identifier gets it back (RFC 6842). */
  #options(request: DhcpRequest, type: Type, yiaddr?: Buffer): [code: number, value: Buffer][] {
    const clientId = request.options.get(DHCP_OPTION.clientId);
    const options: [number, Buffer][] = [
      [DHCP_OPTION.messageType, Buffer.of(type)],
      [DHCP_OPTION.serverId, this.#address],
    ];
    if (yiaddr) options.push([DHCP_OPTION.leaseTime, numberToAddress(LEASE_S)]);
    if (type !== DHCP_TYPE.nak) options.push([DHCP_OPTION.subnetMask, this.#mask], [DHCP_OPTION.router, this.#address]);
    if (clientId) options.push([DHCP_OPTION.clientId, clientId]);
    return options;
  }
}

/** The address that a client asks for by an option, as a number. */
function requested({ options }: DhcpRequest): number | undefined {
  const address = options.get(DHCP_OPTION.requestedAddress);
  return address?.length === 4 ? address.readUInt32BE() : undefined;
}

/** 32 bits in network order. */
function numberToAddress(value: number): Buffer {
  const address = Buffer.alloc(4);
  address.writeUInt32BE(value);
  return address;
}
