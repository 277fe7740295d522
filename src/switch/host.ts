import {
  ALL_NODES,
  ANY_IPV6,
  BROADCAST_IPV4,
  ipv4Text,
  ipv6Text,
  isMulticastIpv6,
  isUnicastIpv4,
  linkLocal,
  macText,
  parseIpv4,
  parseIpv6,
  parseMac,
  solicitedNode,
  splitPrefix,
} from './address.js';
import type { Answer, Outcome } from './answer.js';
import { answerArp } from './arp.js';
import { DHCP_PORT } from './dhcp-message.js';
import { DhcpServer } from './dhcp-server.js';
import { answerEcho, ECHO } from './echo.js';
import { buildEthernet, ETHERTYPE, type EthernetFrame } from './ethernet.js';
import { buildIpv4Packet, type Ipv4Packet, PROTOCOL, parseIpv4Packet } from './ipv4.js';
import { buildIpv6Packet, ICMPV6, type Ipv6Packet, parseIpv6Packet, pseudoHeader } from './ipv6.js';
import { answerSolicitation, NEIGHBOR_SOLICITATION } from './neighbour.js';
import type { HostNotice } from './notice.js';
import { parseDatagram } from './udp.js';

/** Addresses of the host as texts, IPv4 and IPv6 with their prefix. */
export interface HostOptions {
  /** Locally administered by default: 02:56:52:73:00:01. */
  mac?: string;
  /** 10.73.0.1/24 by default. */
  ipv4?: string;
  /** Besides the link-local address of its MAC; fd73::1/64 by default. */
  ipv6?: string;
}

const DEFAULTS = { mac: '02:56:52:73:00:01', ipv4: '10.73.0.1/24', ipv6: 'fd73::1/64' } as const;
const HOP_LIMIT = 64;
const NOTHING = { asked: Buffer.alloc(0), answered: Buffer.alloc(0) };

/** As an Outcome, with a whole frame as the answer. */
export type HostAnswer = { frame: Buffer; notice: HostNotice | undefined } | Exclude<Outcome, Answer>;

/**
 * The station that guests can ping: it answers ARP, Neighbor Solicitations, echo requests, and DHCP if it is told to. It keeps
 * no neighbours, as it only answers, and to who asked.
 */
export class Host {
  readonly mac: Buffer;
  readonly #ipv4: Buffer;
  /** The link-local address first. */
  readonly #ipv6: readonly Buffer[];
  /** What a packet to the host has as its destination. */
  readonly #ipv6Destinations: readonly Buffer[];
  readonly #dhcp: DhcpServer | undefined;
  /** All of its addresses as texts. */
  readonly addresses: { mac: string; ipv4: string; ipv6: string[] };

  /** `now`: a clock in ms. @throws RangeError on an address that is none, or a network without room for the pool of `dhcp` */
  constructor({ host, dhcp, now }: { host?: HostOptions | undefined; dhcp?: boolean | undefined; now: () => number }) {
    const texts = { ...DEFAULTS, ...host };
    this.mac = parseMac(texts.mac);
    const { address, prefix } = splitPrefix(texts.ipv4, 32);
    this.#ipv4 = parseIpv4(address);
    if (dhcp) this.#dhcp = new DhcpServer({ address: this.#ipv4, prefix, now });
    this.#ipv6 = [linkLocal(this.mac), parseIpv6(splitPrefix(texts.ipv6, 128).address)];
    this.#ipv6Destinations = [...this.#ipv6, ALL_NODES, ...this.#ipv6.map(solicitedNode)];
    this.addresses = { mac: macText(this.mac), ipv4: ipv4Text(this.#ipv4), ipv6: this.#ipv6.map(ipv6Text) };
  }

  /** Takes a frame that was sent to its MAC, or to a group. */
  take(frame: EthernetFrame): HostAnswer {
    const outcome = this.#outcome(frame);
    if (typeof outcome !== 'object') return outcome;
    const { payload, to = frame.source, notice } = outcome;
    return { frame: buildEthernet({ ...frame, destination: to, source: this.mac, payload }), notice };
  }

  #outcome({ ethertype, payload }: EthernetFrame): Outcome {
    if (ethertype === ETHERTYPE.arp) return answerArp(payload, { mac: this.mac, ipv4: this.#ipv4 });
    if (ethertype === ETHERTYPE.ipv4) return this.#ipv4Packet(payload);
    if (ethertype === ETHERTYPE.ipv6) return this.#ipv6Packet(payload);
    return undefined;
  }

  #ipv4Packet(bytes: Buffer): Outcome {
    const packet = parseIpv4Packet(bytes);
    if (typeof packet === 'string') return packet;
    const isToHost = packet.destination.equals(this.#ipv4);
    if (packet.protocol === PROTOCOL.udp && (isToHost || packet.destination.equals(BROADCAST_IPV4)))
      return this.#datagram(packet);
    return packet.protocol === PROTOCOL.icmp && isToHost ? this.#ipv4Echo(packet) : undefined;
  }

  #datagram(packet: Ipv4Packet): Outcome {
    const datagram = parseDatagram(packet);
    if (typeof datagram === 'string') return datagram;
    return datagram.to === DHCP_PORT.server ? this.#dhcp?.answer(datagram.data) : undefined;
  }

  #ipv4Echo({ source, destination, protocol, payload }: Ipv4Packet): Outcome {
    if (!isUnicastIpv4(source)) return undefined;
    const echo = answerEcho(payload, ECHO.ipv4, NOTHING);
    if (typeof echo !== 'object') return echo;
    const { id, seq, message } = echo;
    return {
      payload: buildIpv4Packet({ source: destination, destination: source, protocol, payload: message }),
      notice: { kind: 'echo', family: 'ipv4', from: ipv4Text(source), id, seq },
    };
  }

  #ipv6Packet(bytes: Buffer): Outcome {
    const packet = parseIpv6Packet(bytes);
    if (typeof packet === 'string') return packet;
    if (packet.next !== ICMPV6 || !this.#ipv6Destinations.some((address) => address.equals(packet.destination)))
      return undefined;
    if (packet.payload[0] === NEIGHBOR_SOLICITATION)
      return answerSolicitation(packet, { mac: this.mac, addresses: this.#ipv6 });
    return this.#ipv6Echo(packet);
  }

  /** One to a group is answered from the link-local address (RFC 4443, 4.2). */
  #ipv6Echo({ source, destination, next, payload }: Ipv6Packet): Outcome {
    if (source.equals(ANY_IPV6) || isMulticastIpv6(source)) return undefined;
    const answering = isMulticastIpv6(destination) ? this.#ipv6[0]! : destination;
    const reply = { source: answering, destination: source };
    const echo = answerEcho(payload, ECHO.ipv6, {
      asked: pseudoHeader({ source, destination }, payload.length),
      answered: pseudoHeader(reply, payload.length),
    });
    if (typeof echo !== 'object') return echo;
    const { id, seq, message } = echo;
    return {
      payload: buildIpv6Packet({ ...reply, hopLimit: HOP_LIMIT, next, payload: message }),
      notice: { kind: 'echo', family: 'ipv6', from: ipv6Text(source), id, seq },
    };
  }
}
