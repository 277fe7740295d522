import type { FrontEndName, Payload } from '../../../src/wire/index.js';
import type { Twin } from './twin.js';
import type { Tamper } from './tx-tamper.js';

/** A message on its way to the back-end. The fds stay their owner's. */
export interface Outgoing {
  name: FrontEndName;
  payload: Payload;
  fds: readonly number[];
  /** Sets NEED_REPLY. */
  needReply: boolean;
  /** Waits for the reply, the spec's own or the one asked for. */
  waits: boolean;
}

/** Where in the life of the twin a message is sent. */
export interface Moment {
  twin: Twin;
  /** Number of the connection, from 1. */
  connection: number;
  /** How many messages of this name went before on this connection. */
  before: number;
}

/** The parts of the handshake on a new connection; other pairs than the first leave out the three in the middle. */
export type InitStep =
  | 'features'
  | 'protocol-features'
  | 'queue-num'
  | 'backend-channel'
  | 'owner'
  | 'features-again'
  | 'ring-fds';

/** The parts of starting one queue pair; `memory` goes with the first pair only, `status` with the last. */
export type StartStep = 'enable' | 'features' | 'memory' | 'rings' | 'status';

/** The parts of stopping one queue pair; `status` goes with the last. */
export type StopStep = 'bases' | 'status';

/** Everything about the twin that a fault may change. `wellBehaved` is what QEMU 10.0 does. */
export interface Behaviour {
  /** Milliseconds from a loss, or from a failed dial (`attempt` > 0), to the next dial; undefined = never again. */
  redialAfter(reconnectMs: number, attempt: number): number | undefined;
  /** Whether an option of the chardev is refused that QEMU 7.2 refuses. */
  refusesOption(option: string): boolean;
  /** Whether it says that it waits for its first peer. */
  saysThatItWaits: boolean;
  /** Whether a failed dial is reported, after so many reports in the same outage, and in all outages before. */
  reportsDial(inOutage: number, before: number): boolean;
  /** Whether a listener that is missing at the start is dialled again. */
  retriesAtStart: boolean;
  /** Connections opened at the start; only one of them is used. */
  initialConnections: number;
  /** Milliseconds from the n-th loss (from 1) until the listener serves the next peer; undefined = never again. */
  rearmAfter(losses: number): number | undefined;
  /** Whether a second peer gets a handshake while the first is there. */
  servesSecond: boolean;
  /** After the n-th loss (from 1) was handled. */
  afterLoss(twin: Twin, losses: number): void;
  /** Whether the peer is dropped once its handshake is over. */
  dropsPeer(connection: number): boolean;
  /** Whether an answer is looked at before it is taken. */
  checksAnswers: boolean;
  /** The answer to a request of the back-end, which is refused or not; undefined = none. */
  answersRequest(refused: boolean): bigint | undefined;
  /** Whether a back-end that lacks something is dropped. */
  refusesInsufficient: boolean;
  /** Whether the monitor answers at this time. */
  answersMonitor(twin: Twin): boolean;
  /** Whether a second monitor answers, beyond its greeting. */
  answersSecondMonitor: boolean;
  /** Whether a second monitor is told events. */
  tellsSecondMonitor: boolean;
  /** Whether yank ends the connection. */
  heedsYank: boolean;
  /** What the monitor says of the chardev. */
  reportsConnected(twin: Twin): boolean;
  /** The file name that the monitor tells of the chardev, in place of the right one. */
  names(filename: string, connected: boolean): string;
  /** The name of the chardev in what management is told. */
  tellsChardev(id: string): string;
  /** What management is told after the handshake of a connection, or its loss: events by their last word. */
  announces(event: 'CONNECTED' | 'DISCONNECTED', connection: number): ('CONNECTED' | 'DISCONNECTED')[];
  /** How it ends on `quit`; undefined = never. */
  exitCode: number | undefined;

  initSteps(steps: InitStep[], connection: number): InitStep[];
  startSteps(steps: StartStep[], connection: number): StartStep[];
  stopSteps(steps: StopStep[]): StopStep[];
  /** What is sent in place of a message. */
  outgoing(message: Outgoing, moment: Moment): Outgoing[];
  /** Which of the offered protocol features are acked. */
  acksProtocolFeatures(bits: bigint): bigint;

  /** The link states that the guest is shown after a loss, or a return: the first at once, each other a pause later. */
  linkAfter(what: 'loss' | 'return'): boolean[];
  forwardsKick(connection: number): boolean;
  heedsCall(connection: number): boolean;
  /** Whether TX rings are handed over with the word that asks the guest not to kick. */
  mutes(connection: number): boolean;
  /** Whether the guest's command to use another number of queue pairs is carried out. */
  changesPairs(connection: number): boolean;
  /** Whether the rings are enabled that the guest takes up by it. */
  followsMorePairs(connection: number): boolean;
  /** Whether the device goes on where the back-end left a used ring, when it uses buffers of it by itself. */
  takesOverUsed: boolean;
  /** Whether a migration comes to its switch-over. */
  endsMigration: boolean;
  /** Whether the pages that changed while memory was copied are sent again. */
  resendsDirty: boolean;
  /** Whether a migration says where the rings are. */
  savesIndices: boolean;
  /** Whether the machine runs on when its migration failed or was cancelled. */
  resumesAfterFailure: boolean;
  /** Whether the back-end is told then that nothing is logged any more. */
  stopsLogging: boolean;
  /** Meddles with frames, virtio-net headers included, that the guest made available on a TX ring. */
  tampers(frames: Parameters<Tamper>[0], before: Parameters<Tamper>[1], connection: number): void;
}

/** QEMU 10.0. */
export const wellBehaved: Behaviour = {
  redialAfter: (reconnectMs) => (reconnectMs > 0 ? reconnectMs : undefined),
  refusesOption: () => true,
  saysThatItWaits: true,
  reportsDial: (inOutage) => inOutage === 0,
  retriesAtStart: true,
  initialConnections: 1,
  rearmAfter: () => 0,
  servesSecond: false,
  afterLoss: () => {},
  dropsPeer: () => false,
  checksAnswers: true,
  answersRequest: (refused) => (refused ? 1n : 0n),
  refusesInsufficient: true,
  answersMonitor: () => true,
  answersSecondMonitor: true,
  tellsSecondMonitor: true,
  heedsYank: true,
  reportsConnected: (twin) => twin.connected,
  names: (filename) => filename,
  tellsChardev: (id) => id,
  announces: (event) => [event],
  exitCode: 0,
  initSteps: (steps) => steps,
  startSteps: (steps) => steps,
  stopSteps: (steps) => steps,
  outgoing: (message) => [message],
  acksProtocolFeatures: (bits) => bits,
  linkAfter: (what) => [what === 'return'],
  forwardsKick: () => true,
  heedsCall: () => true,
  mutes: () => false,
  changesPairs: () => true,
  followsMorePairs: () => true,
  takesOverUsed: true,
  endsMigration: true,
  resendsDirty: true,
  savesIndices: true,
  resumesAfterFailure: true,
  stopsLogging: true,
  tampers: () => {},
};
