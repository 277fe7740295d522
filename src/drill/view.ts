// What page, terminal and scripts are told: plain data that needs no other type. Times are milliseconds of the timeline's clock.

/** What a port is in, as far as its events tell. Plain data: it goes to the page as it is. */
export interface PortState {
  port: string;
  role: 'server' | 'client';
  socket: string;
  /** The profile that the peer acts as. */
  profile: string;
  /** `away`: nobody dials or listens; `waiting`: it does; `frozen`: connected, and it reads nothing. */
  peer: 'away' | 'waiting' | 'connected' | 'frozen';
  /** The session that is open. */
  session?: number;
  /** As modelled from the connections: CONNECTING until QEMU's first message. */
  chardev: 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED';
  /** What QEMU's property `connected` says; absent where it cannot be asked. */
  saysConnected?: boolean;
  /** Rings that run, of those that were set up in this session. */
  rings: { running: number[]; started: number[] };
  /** The carrier of the guest, where it tells: of its driver over qtest, or of its own word. */
  link?: 'up' | 'down';
  /** When a ping of the guest was answered last. */
  pingAt?: number;
  /** The last message of QEMU on this port. */
  message?: string;
  /** Where the peer is to leave. */
  cut?: string;
}

/** One loss of the back-end, and how long it took until things were as before. Milliseconds from the end of the session. */
export interface Restart {
  /** From 1. */
  number: number;
  /** When the session ended. */
  at: number;
  session: number;
  by: 'peer' | 'front-end';
  how: string;
  /** Until a connection was there again. */
  backMs?: number;
  /** Until every ring that ran before ran again. */
  ringsMs?: number;
  /** From the last ping that was answered before to the first after; absent while none is, or where nobody pings. */
  outageMs?: number;
  /** Pings in between that nobody answered, as far as their numbers tell. */
  lost?: number;
}

/** A requirement's judgement while a drill goes on. */
export interface LiveVerdict {
  requirement: string;
  title: string;
  level: string;
  outcome: 'hold' | 'break' | 'not-applicable';
  kind?: string;
  seen: string;
}

/** What a port is in, with its history. */
export interface PortView extends PortState {
  busy?: string;
  /** The last of them. */
  restarts: Restart[];
  restartCount: number;
  verdicts?: LiveVerdict[];
  verdictsAt?: number;
  /** Frames and bytes, as the switch counts them. */
  counters: Record<string, unknown>;
}

/** What a drill is in: plain data, for page, terminal and scripts. */
export interface DrillState {
  now: number;
  over: boolean;
  vm: {
    state: 'unknown' | 'running' | 'gone';
    how: string;
    pid?: number;
    version?: string;
    runState?: string;
    latencyMs?: number;
    silentForMs?: number;
    exit?: { code: number | null; signal: string | null; asked?: 'quit' | 'kill' };
    evidence?: string[];
    guest?: 'booting' | 'up';
    /** Complaints of the guest's kernel. */
    troubles: number;
  };
  ports: Record<string, PortView>;
}
