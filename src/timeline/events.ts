/**
 * Every event that a timeline can hold. One typed union, one clock, JSON-safe: 64-bit values are hex strings.
 * Events are recorded as they happen and judged afterwards (see contract/); nothing here knows a rule.
 */

/** Milliseconds since the timeline's origin, from one monotonic clock, with microsecond resolution. */
export type Ms = number;

/** An unsigned 64-bit value as `0x` and lower-case hex digits: JSON numbers lose bits above 2^53. */
export type Hex = `0x${string}`;

/** The role of QEMU's chardev: `server` listens, `client` dials. Never the role of the peer. */
export type Role = 'server' | 'client';

/** JSON value, as far as event bodies need it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

// --- the variant -----------------------------------------------------------------------------------------------------

/** First event of every timeline: all the context a judge may use. */
export interface RunBegin {
  type: 'run.begin';
  /** Version of the event format. */
  schema: 1;
  /** `case-id[key=value,...]`. */
  variant: string;
  case: string;
  role: Role;
  machine: string;
  /** Name of the peer's profile at the start. */
  profile: string;
  /** `guest`: a guest of its own, which the tester does not drive. */
  driver: 'none' | 'linux' | 'guest';
  queuePairs: number;
  /** Layout of the rings that the device offers; absent for split ones. */
  ring?: 'packed';
  /** Guest RAM in bytes. */
  memory: number;
  /** MTU of the network device (host_mtu), where it has one. */
  mtu?: number;
  /** The configured reconnect interval; 0 = never. Only a `client` has one. */
  reconnectMs: Ms;
  socketPath: string;
  /**
   * Options of the chardev that the case gives, which QEMU may refuse, and which of all that can be given here the binary
   * lists. Absent where there are none.
   */
  chardev?: { options: Record<string, string>; known: string[] };
  /** QEMU's version is `major.minor.micro`; argv[0] is the binary. */
  qemu: { version: string; argv: string[] };
  /** QEMU is an operator's, whom the tester joined: nothing is known of how it started, nor does its stderr come. */
  joined?: true;
  tester: string;
  /** Wall clock of the origin, ISO 8601. */
  startedAt: string;
}

/** Last event of every timeline. */
export interface RunEnd {
  type: 'run.end';
}

/** A step of the case's schedule starts. */
export interface StepBegin {
  type: 'step.begin';
  index: number;
  verb: string;
  params: Json;
}

/**
 * It ended. `timeout` and `failed` make the variant inconclusive unless a requirement explains them. `cut`: what it waited
 * for cannot come any more, because the peer left at the phase's cut.
 */
export interface StepEnd {
  type: 'step.end';
  index: number;
  verb: string;
  outcome: 'done' | 'cut' | 'timeout' | 'failed';
  /** What was waited for and what was there instead. */
  reason?: string;
}

/** A phase of the schedule begins: from here on the messages of QEMU count for its cut. */
export interface PhaseBegin {
  type: 'phase.begin';
  /** Where in it the peer leaves; absent in a dry run. */
  cut?: string;
}

/** It ended, with all that QEMU had to say in it. */
export interface PhaseEnd {
  type: 'phase.end';
}

/** What an operator noted down during a drill. */
export interface DrillNote {
  type: 'drill.note';
  text: string;
}

/** The tester's own trouble: never a verdict on QEMU. */
export interface Trouble {
  type: 'tester.trouble';
  what: string;
  hint?: string;
}

// --- the peer's sockets ----------------------------------------------------------------------------------------------

/** The peer listens (client role), or a decoy listens in place of QEMU's own socket (server role). */
export interface PeerListen {
  type: 'peer.listen';
  path: string;
  decoy?: true;
}

/** The peer's listener is closed; `removed` tells whether the path went too. */
export interface PeerUnlisten {
  type: 'peer.unlisten';
  path: string;
  removed: boolean;
  decoy?: true;
}

/**
 * The peer listens on, but accepts nothing: a dial waits in the backlog of its socket, where QEMU takes itself for connected;
 * `full`: there is no room, and whoever dials waits for some (client role).
 */
export interface PeerHung {
  type: 'peer.hung';
  path: string;
  full?: true;
}

/** It accepts again. */
export interface PeerAccepts {
  type: 'peer.accepts';
  path: string;
}

/** The peer reads and serves its rings again, after the fault `hold` without a message. */
export interface PeerResumed {
  type: 'peer.resumed';
  session: number;
}

/**
 * What the back-end of another port of the same QEMU is in from now on: QEMU is one process, and while it waits for the answer of
 * one back-end (`owing`) it does nothing for the others either.
 */
export interface PeerOther {
  type: 'peer.other';
  port: string;
  state: 'away' | 'connected' | 'owing';
}

/** The peer dials QEMU's socket (server role). `session` is the number the session gets if it succeeds. */
export interface PeerDial {
  type: 'peer.dial';
  path: string;
  session: number;
}

/** The kernel refused the dial: ENOENT, ECONNREFUSED, EAGAIN (backlog full). */
export interface PeerDialFailed {
  type: 'peer.dial-failed';
  path: string;
  session: number;
  code: string;
}

/** Something dialled the decoy that stands where a listening QEMU's socket was. */
export interface DecoyAccept {
  type: 'decoy.accept';
  /** Process id by SO_PEERCRED. */
  pid: number;
}

/** A connection is established (for a dial: by the kernel; QEMU may not have accepted it yet). Numbers start at 1. */
export interface SessionOpen {
  type: 'session.open';
  session: number;
  by: 'dial' | 'accept';
  /** The process at the other end by SO_PEERCRED: for `dial` the process that called listen(2). */
  pid: number;
  /** A second client beside the main one (server role); it never replaces the main session. */
  extra?: true;
}

/** A connection ended. */
export interface SessionClose {
  type: 'session.close';
  session: number;
  by: 'peer' | 'front-end';
  /**
   * by peer: `close` orderly, `abort` with bytes of QEMU unread, `half-message` after half a message, `error` on bad input.
   * by front-end: `eof`, `reset`.
   */
  how: 'close' | 'abort' | 'half-message' | 'error' | 'eof' | 'reset';
  /** Bytes that QEMU had sent and the peer never read: always for `abort`, else when there were any. */
  unread?: number;
  /** The error, for `error`, with its code: `ERR_WIRE_...` and the like when the front-end sent what no front-end may send. */
  error?: string;
  code?: string;
  /** The cut that ended it, as `SET_VRING_CALL.2.after-read`: message, which of that name in its phase, and where at it. */
  cut?: string;
  extra?: true;
}

// --- the wire --------------------------------------------------------------------------------------------------------

/** A message of the front-end, decoded. `body` is the JSON form that wire/ gives (64-bit values as Hex). */
export interface WireRecv {
  type: 'wire.recv';
  session: number;
  /** Position among the messages received on this session, from 0. */
  index: number;
  request: number;
  /** Name in the spec, e.g. `SET_VRING_KICK`; `#99` when unknown. */
  name: string;
  /** Raw header flags: version in bits 0-1, REPLY bit 2, NEED_REPLY bit 3. */
  flags: number;
  size: number;
  body: Json;
  /** Number of file descriptors that came with it. */
  fds: number;
  /** SET_VRING_KICK and SET_VRING_CALL: the kernel's number of the eventfd that came (proc_pid_fdinfo(5)), where it tells. */
  eventfd?: number;
}

/** A message of the peer: a reply, or a request on the back-end channel. */
export interface WireSend {
  type: 'wire.send';
  session: number;
  channel: 'reply' | 'backend';
  request: number;
  name: string;
  flags: number;
  size: number;
  body: Json;
  fds: number;
  /** Bytes that QEMU had sent already when it was answered, though it had to wait; absent when there were none. */
  ahead?: number;
}

/** The peer does something wrong, or legal and unusual, on purpose. An answer that is spoilt is in no `wire.send`. */
export interface PeerFault {
  type: 'peer.fault';
  session: number;
  /** The kind of fault, as cases name it. */
  fault: string;
  /** For people. */
  what: string;
  /** The message of the front-end at which it happens. */
  message?: string;
  /**
   * What QEMU cannot use any more: the answer to `message`; every later answer of the session, as bytes lie before it that
   * belong to none; the channel for the back-end's requests; the whole session, from which nothing comes any more. Absent:
   * what QEMU gets is legal.
   */
  spoils?: 'answer' | 'stream' | 'channel' | 'all';
  /** QEMU may as well take it: the specification does not say that it must not. */
  tolerable?: true;
  /** How late the message is dealt with. */
  by?: Ms;
  /** QEMU is left with part of something, and may wait for the rest. */
  half?: true;
  /** The size of the payload that a header announces, which is a lie. */
  announces?: number;
  /** What is sent in place of what was due, up to 64 bytes of it, in hex. */
  bytes?: string;
}

/** A message on the back-end channel from QEMU (an answer to our request). */
export interface BackendRecv {
  type: 'wire.backend-recv';
  session: number;
  request: number;
  name: string;
  flags: number;
  size: number;
  body: Json;
}

/** The channel for the back-end's requests is closed while its session goes on. */
export interface BackendClose {
  type: 'wire.backend-close';
  session: number;
  by: 'peer' | 'front-end';
}

// --- rings and packets -----------------------------------------------------------------------------------------------

/** The peer starts a ring: kick fd is there. Indices are read from guest memory at that moment; undefined when unmapped. */
export interface RingStart {
  type: 'ring.start';
  session: number;
  ring: number;
  size: number;
  /** Absent for a split ring. */
  layout?: 'packed';
  /**
   * The last SET_VRING_BASE. Split: the available index. Packed, 32 bits: 0-14 index of the next available descriptor, 15 its
   * wrap counter, 16-30 index of the next used descriptor, 31 its wrap counter.
   */
  base: number;
  /** Split. */
  usedIdx?: number;
  availIdx?: number;
  /** Split. Flags word of the used ring: bit 0 = VRING_USED_F_NO_NOTIFY. */
  usedFlags?: number;
  /** Packed. Whether the descriptor at the base is available. */
  available?: boolean;
  /** Packed. Flags of the device's event suppression: 0 kick always, 1 never, 2 at a certain descriptor. */
  eventFlags?: number;
  enabled: boolean;
}

/** The peer stops a ring: GET_VRING_BASE, or the session's end. */
export interface RingStop {
  type: 'ring.stop';
  session: number;
  ring: number;
  /** Absent for a split ring. */
  layout?: 'packed';
  /** Where the ring would go on, as the peer tells it; see RingStart. The used half of a packed ring's may be left 0. */
  base: number;
}

/** The enable state of a ring changed. */
export interface RingEnable {
  type: 'ring.enable';
  session: number;
  ring: number;
  enabled: boolean;
}

/** The front-end's kick eventfd fired; `count` is the eventfd's counter. */
export interface RingKick {
  type: 'ring.kick';
  session: number;
  ring: number;
  count: number;
}

/** The peer signalled the call eventfd. */
export interface RingCall {
  type: 'ring.call';
  session: number;
  ring: number;
}

/** Sequence numbers as inclusive ranges. */
export type SeqRanges = [first: number, last: number][];

/** A burst of traffic starts: `packets` per pair and direction. */
export interface TrafficBegin {
  type: 'traffic.begin';
  burst: number;
  packets: number;
  pairs: number;
  /** In one direction only. */
  only?: 'rx' | 'tx';
  /** True when the burst is not awaited: it is in flight while the next step runs. */
  inFlight?: true;
}

/** Packets put on a ring. tx: by the driver, towards the peer. rx: by the peer, into the driver's buffers. */
export interface PacketsSent {
  type: 'packets.sent';
  dir: 'tx' | 'rx';
  pair: number;
  seqs: SeqRanges;
  /** rx only: the session that sent them. */
  session?: number;
}

/** Packets seen at the other end, each checked for its sequence number and checksum. */
export interface PacketsSeen {
  type: 'packets.seen';
  dir: 'tx' | 'rx';
  pair: number;
  seqs: SeqRanges;
  /** Packets whose content was not what was sent; they are in no range. */
  corrupt: number;
  /** tx only: the session that saw them. */
  session?: number;
}

/** TX descriptors that came back to the driver as used, whoever used them: the peer, or QEMU while the peer was away. */
export interface PacketsCompleted {
  type: 'packets.completed';
  dir: 'tx';
  pair: number;
  seqs: SeqRanges;
}

/** A burst ended: all seen (`flowed`), or the deadline passed (`stalled`). */
export interface TrafficEnd {
  type: 'traffic.end';
  burst: number;
  outcome: 'flowed' | 'stalled';
  /** What was not seen, per pair and direction; empty when flowed. */
  missing: { dir: 'tx' | 'rx'; pair: number; seqs: SeqRanges }[];
}

// --- the guest driver ------------------------------------------------------------------------------------------------

/** The driver wrote 0 to the device status: everything it negotiated is void. */
export interface DriverReset {
  type: 'driver.reset';
}

/** Features the device offered and the driver accepted (FEATURES_OK). */
export interface DriverFeatures {
  type: 'driver.features';
  offered: Hex;
  accepted: Hex;
}

/** What the device says of itself in its configuration space, but for the link: at first sight and at each change. */
export interface DriverConfig {
  type: 'driver.config';
  mac: string;
  /** Queue pairs that it has at most; where it offers VIRTIO_NET_F_MQ. */
  pairs?: number;
  /** Where it offers VIRTIO_NET_F_MTU. */
  mtu?: number;
  /** It asks the guest to announce itself (VIRTIO_NET_S_ANNOUNCE). */
  announce?: true;
}

/** The device asks to be reset (DEVICE_NEEDS_RESET of the device status). */
export interface DriverNeedsReset {
  type: 'driver.needs-reset';
}

/**
 * The device broke a rule that it owes its driver. `ring`: what it handed back on a ring makes no sense, and the driver touches
 * its rings no more until it is started anew; `device`: it cannot be brought up; `command`: a command that it has to carry out
 * was refused.
 */
export interface DriverBroken {
  type: 'driver.broken';
  rule: 'ring' | 'device' | 'command';
  what: string;
  /** The ring whose rule it is. */
  ring?: number;
}

/** DRIVER_OK was written, with these rings (guest-physical addresses). Ring 2i is RX and 2i+1 TX of pair i. */
export interface DriverReady {
  type: 'driver.ready';
  /** Queue pairs the driver uses. */
  pairs: number;
  /** Layout of the rings: absent for split ones. Of packed ones `avail` and `used` are the two event suppressions. */
  layout?: 'packed';
  rings: { index: number; size: number; desc: Hex; avail: Hex; used: Hex }[];
}

/**
 * The driver has the device use so many of the queue pairs that it set up (the control queue's MQ_VQ_PAIRS_SET). Recorded
 * when it asks, and when the device has answered.
 */
export interface DriverPairs {
  type: 'driver.pairs';
  pairs: number;
  answered?: true;
}

/** The guest-visible VIRTIO_NET_S_LINK_UP bit, recorded at first read and at each change. */
export interface DriverLink {
  type: 'driver.link';
  up: boolean;
}

/**
 * The guest served an interrupt of the device. `isr`: bit 0 a ring, bit 1 configuration change; `raised`: when the tester heard
 * the line rise, in milliseconds of the timeline. The guest may have been busy between: it looks after its rings one by one.
 */
export interface DriverInterrupt {
  type: 'driver.interrupt';
  isr: number;
  raised?: Ms;
}

/** The driver wrote the notify register of a ring. */
export interface DriverKick {
  type: 'driver.kick';
  ring: number;
  /** How many times in a row, where more than once. */
  count?: number;
}

// --- a guest of its own, which no driver of the tester's drives ------------------------------------------------------

/** The guest's own init is up: it pings from here on. */
export interface GuestReady {
  type: 'guest.ready';
}

/** Echo requests of the guest that reached the peer's switch and were answered. */
export interface GuestEcho {
  type: 'guest.echo';
  /** Address that asked. */
  from: string;
  /** Identifier of the requests (RFC 792): a run of ping. */
  id: number;
  /** Their sequence numbers, of 16 bits. */
  seqs: SeqRanges;
  session: number;
}

/**
 * A ping of the guest was answered, by its own word. `number` counts within the `epoch`, which no later start of the guest has
 * again; `latency` is in guest time.
 */
export interface GuestPing {
  type: 'guest.ping';
  nic: string;
  epoch: number;
  number: number;
  latency: Ms;
}

/** The guest's network device has, or lost, its carrier; recorded at first sight and at each change. */
export interface GuestCarrier {
  type: 'guest.carrier';
  nic: string;
  up: boolean;
}

/** The guest's kernel complains: oops, panic, warning, hung-task and the like. */
export interface GuestTrouble {
  type: 'guest.trouble';
  what: string;
  line: string;
}

// --- QEMU ------------------------------------------------------------------------------------------------------------

/** The process was started. */
export interface QemuSpawn {
  type: 'qemu.spawn';
  pid: number;
}

/** The process ended. Exactly one of code and signal is not null; of a process that is not the tester's child neither is known. */
export interface QemuExit {
  type: 'qemu.exit';
  code: number | null;
  signal: string | null;
  /** Whether the tester asked for it: `quit` by QMP, `kill` by SIGKILL; absent when it came unasked. */
  asked?: 'quit' | 'kill';
}

/**
 * How far QEMU's numbers of file descriptors may go was limited, or the limit is lifted. Recorded before the one and after the
 * other, so that nothing that the shortage does lies outside.
 */
export interface QemuDescriptors {
  type: 'qemu.descriptors';
  /** So many more can be opened; absent where the limit is lifted. */
  spare?: number;
  /** Every new number must be less. */
  limit: number;
}

/** One line of QEMU's stderr. */
export interface QemuStderr {
  type: 'qemu.stderr';
  line: string;
}

/** What was left of a QEMU that died unasked. */
export interface QemuPostMortem {
  type: 'qemu.post-mortem';
  assertion?: { file: string; line: number; function: string; expression: string };
  /** gdb's frames, where gdb and a core were there. */
  backtrace?: string[];
  /** Why there is no backtrace. */
  noBacktrace?: string;
}

/** QMP's greeting came and capabilities were negotiated. */
export interface QmpReady {
  type: 'qmp.ready';
}

/** The monitor of an operator's QEMU was lost: until it is ready again neither answers nor events come, whatever QEMU does. */
export interface QmpLost {
  type: 'qmp.lost';
  why: string;
}

/** A QMP command of a step or of the tester's own steering (not the heartbeat's). */
export interface QmpCommand {
  type: 'qmp.command';
  id: number;
  execute: string;
  arguments?: Json;
}

/** Its answer. */
export interface QmpReply {
  type: 'qmp.reply';
  id: number;
  execute: string;
  latency: Ms;
  error?: string;
  /** QMP's class of the error, such as `DeviceNotFound`. */
  errorClass?: string;
  value?: Json;
}

/** An asynchronous QMP event. */
export interface QmpEvent {
  type: 'qmp.event';
  event: string;
  data: Json;
}

/** A management client dials QEMU's second monitor. There is one at a time; numbers count from 1. */
export interface MonitorOpen {
  type: 'monitor.open';
  client: number;
}

/** It sent a command; the first one is its `qmp_capabilities`. */
export interface MonitorCommand {
  type: 'monitor.command';
  client: number;
  id: number;
  execute: string;
}

/** The answer. */
export interface MonitorReply {
  type: 'monitor.reply';
  client: number;
  id: number;
  error?: string;
}

/** An event that it got. */
export interface MonitorEvent {
  type: 'monitor.event';
  client: number;
  event: string;
  data: Json;
}

/** Its connection ended, by itself or by QEMU; `half`: in the middle of a command's line. */
export interface MonitorClose {
  type: 'monitor.close';
  client: number;
  by: 'client' | 'front-end';
  half?: true;
}

// --- migration ---------------------------------------------------------------------------------------------------------

/** QEMU is about to be told to migrate to a destination of the tester's. Numbers count from 1. */
export interface MigrationBegin {
  type: 'migration.begin';
  migration: number;
  /** The destination reads no further than to the end of the guest's memory, until it is released. */
  hold?: 'copied';
  /** QEMU stops before the switch-over, with the virtual machine paused, until it is told to go on (pause-before-switchover). */
  pause?: true;
}

/** QEMU tells the state of a migration (QMP's event MIGRATION). */
export interface MigrationStatus {
  type: 'migration.status';
  migration: number;
  /** As QEMU names it: setup, active, pre-switchover, device, completed, failed, cancelling, cancelled ... */
  status: string;
}

/** The destination reads no more: all of the guest's memory came once. */
export interface MigrationHold {
  type: 'migration.hold';
  migration: number;
}

/** It reads on. */
export interface MigrationRelease {
  type: 'migration.release';
  migration: number;
}

/** The stream was closed. */
export interface MigrationStream {
  type: 'migration.stream';
  migration: number;
  /** By QEMU, or by the tester's destination. */
  by: 'source' | 'destination';
  bytes: number;
  /** Pages of guest memory that came, each time counted. */
  pages: number;
  /** Pages that came more than once. */
  repeated: number;
  /** Whether it ended as a whole stream does. */
  complete: boolean;
}

/** The stream of a completed migration, compared with what the peer wrote into the guest's buffers since it began. */
export interface MigrationWritten {
  type: 'migration.written';
  migration: number;
  /** Pages that the peer wrote to. */
  pages: number;
  /** Those of them that came before the peer wrote to them last, and again after. */
  again: number;
  /** Guest addresses of those whose last content in the stream is not what the peer wrote; at most 16. */
  stale: Hex[];
}

/** Where the stream of a completed migration says that the rings of the driver are. */
export interface MigrationRings {
  type: 'migration.rings';
  migration: number;
  rings: {
    index: number;
    /** The next buffer to take (last_avail_idx). */
    next: number;
    /** Of a split ring: the used index in the guest's memory as it came. */
    used?: number;
  }[];
}

/** A migration is over, as QEMU reports it, and its stream is closed. */
export interface MigrationEnd {
  type: 'migration.end';
  migration: number;
  /** refused: the command itself failed. */
  status: 'completed' | 'failed' | 'cancelled' | 'refused';
  /** QEMU's own words (error-desc of query-migrate, or the error of the command). */
  reason?: string;
}

// --- what watches from outside ---------------------------------------------------------------------------------------

/** One answered heartbeat (`query-status`): `sent` is when it was asked. */
export interface Heartbeat {
  type: 'qmp.heartbeat';
  sent: Ms;
  latency: Ms;
  /** QEMU's run state, e.g. `running`, `paused`. */
  status: string;
}

/** The heartbeat sent at `since` was still unanswered when the bound passed, or when the run ended. Once per heartbeat. */
export interface HeartbeatSilent {
  type: 'qmp.silent';
  since: Ms;
}

/** What the chardev says of itself; recorded at first sight and at each change. Mapped on TCP_CHARDEV_STATE_*. */
export interface ChardevState {
  type: 'chardev.state';
  connected: boolean;
  /** How it was read: `qom` (property `connected`), `filename` (query-chardev). */
  means: 'qom' | 'filename';
  /** The file name; absent without a chardev, and in older records. */
  text?: string;
}

/** QEMU's socket path (server role) at first sight and at each change; inode undefined when it is not there. */
export interface SocketPath {
  type: 'socket.path';
  inode?: number;
  /** When the inode was made, in ms of the wall clock: file systems reuse the numbers of removed ones. 0 where unknown. */
  born?: number;
  /** Who may connect: its permissions, of which connect(2) asks for those to write. Absent in older records. */
  mode?: number;
}

/**
 * Connections at QEMU's own listening path that no session of ours explains (server role), by /proc/net/unix. Recorded at
 * every look while one stands.
 */
export interface SelfDial {
  type: 'self-dial';
  inodes: number[];
  /** When the first of them was first seen. */
  since: Ms;
}

/** File descriptors and threads of QEMU; recorded at each change and whenever the schedule came to rest. */
export interface ProcSample {
  type: 'proc.sample';
  fds: number;
  threads: number;
  /** The most virtual memory in bytes that it ever had; read when settled. */
  peak?: number;
  /** Its own resident memory in bytes (RssAnon of proc_pid_status(5)); read when settled. */
  anonymous?: number;
  /** Read when what the schedule waited for was there: nothing of a handshake or ring start is under way. */
  settled?: true;
}

/**
 * How slow the machine is, as cumulative counts since the origin; recorded when `lag` or `delay` grew by 1 ms, or `ran` by
 * more. `lag`: time the tester's event loop ran late. `delay`: time QEMU's main thread was runnable but had no CPU
 * (schedstat). `ran`: time it had one; absent in older records.
 */
export interface Pace {
  type: 'pace';
  lag: Ms;
  delay: Ms;
  ran?: Ms;
}

/** Any event, without the recorder's stamp. */
export type EventBody =
  | RunBegin
  | RunEnd
  | StepBegin
  | StepEnd
  | PhaseBegin
  | PhaseEnd
  | DrillNote
  | Trouble
  | PeerListen
  | PeerUnlisten
  | PeerHung
  | PeerAccepts
  | PeerResumed
  | PeerOther
  | PeerDial
  | PeerDialFailed
  | DecoyAccept
  | SessionOpen
  | SessionClose
  | WireRecv
  | WireSend
  | BackendRecv
  | BackendClose
  | PeerFault
  | RingStart
  | RingStop
  | RingEnable
  | RingKick
  | RingCall
  | TrafficBegin
  | PacketsSent
  | PacketsSeen
  | PacketsCompleted
  | TrafficEnd
  | DriverReset
  | DriverFeatures
  | DriverConfig
  | DriverNeedsReset
  | DriverBroken
  | DriverReady
  | DriverPairs
  | DriverLink
  | DriverInterrupt
  | DriverKick
  | GuestReady
  | GuestEcho
  | GuestPing
  | GuestCarrier
  | GuestTrouble
  | QemuSpawn
  | QemuExit
  | QemuStderr
  | QemuDescriptors
  | QemuPostMortem
  | QmpReady
  | QmpLost
  | QmpCommand
  | QmpReply
  | QmpEvent
  | MonitorOpen
  | MonitorCommand
  | MonitorReply
  | MonitorEvent
  | MonitorClose
  | MigrationBegin
  | MigrationStatus
  | MigrationHold
  | MigrationRelease
  | MigrationStream
  | MigrationWritten
  | MigrationRings
  | MigrationEnd
  | Heartbeat
  | HeartbeatSilent
  | ChardevState
  | SocketPath
  | SelfDial
  | ProcSample
  | Pace;

/** The recorder's stamp: `seq` counts from 0 without gaps, `t` never decreases. */
export interface Stamp {
  seq: number;
  t: Ms;
}

/** An event as it stands in a timeline. */
export type Event = EventBody & Stamp;

/** The name of an event type. */
export type EventType = EventBody['type'];

/** The event of a given type. */
export type EventOf<T extends EventType> = Extract<EventBody, { type: T }> & Stamp;
