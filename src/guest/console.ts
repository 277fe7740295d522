/** Kinds of trouble that the guest's kernel tells. */
export const troubles = [
  /** It gave up. */
  'panic',
  /** A fault in the kernel, which killed what ran. */
  'oops',
  /** WARN: a state that the kernel's authors thought impossible. */
  'warning',
  /** A queue of a NIC did not send for seconds, with the carrier there. */
  'tx-timeout',
  /** The virtio driver found a ring or a frame that makes no sense. */
  'virtio',
  /** An interrupt that nobody handled. */
  'irq',
  /** A task waited for longer than the guest allows. */
  'hung-task',
  /** A CPU did not get on; a machine that is too slow for its guest looks the same. */
  'lockup',
  /** No memory was left. */
  'memory',
] as const;
export type TroubleKind = (typeof troubles)[number];

/** By which words the kernel tells it, the first that fits. */
const TROUBLE: readonly (readonly [TroubleKind, RegExp])[] = [
  ['panic', /^Kernel panic - not syncing/],
  ['lockup', /\bBUG: (?:soft|workqueue) lockup|\bhard LOCKUP|^rcu: INFO: .*detected (?:expedited )?stalls?/],
  ['hung-task', /^INFO: task .* blocked for more than/],
  ['oops', /^(?:Oops\b|BUG\b|kernel BUG at|general protection fault|double fault|stack segment|Internal error)/],
  ['tx-timeout', /\bNETDEV WATCHDOG: |: TX timeout on queue/],
  // The watchdog's own (before 6.7) names no NIC; the driver's word on it, which follows, is a tx-timeout.
  ['warning', /^WARNING: (?!.*\bdev_watchdog\b)/],
  // drivers/virtio/virtio_ring.c, BAD_RING(); drivers/net/virtio_net.c
  ['virtio', /^virtio.*:id \d+ (?:out of range|is not a head)|\bUnexpected TXQ \(\d+\) queue failure|: bad gso: /],
  ['irq', /^irq \d+: nobody cared/],
  ['memory', /^(?:Out of memory|oom-kill):/],
];

/** What the console told. */
export type GuestFact = {
  /** Which start of the guest's it is of, from 1; 0 before the first that was seen. Epochs of pings begin anew with each. */
  boot: number;
  /** Seconds on the guest's clock, since that start. */
  time?: number;
} & (
  | { kind: 'boot'; kernel: string }
  /** The NICs are configured, pings begin. */
  | { kind: 'ready'; nics: number }
  | { kind: 'address'; nic: string; address: string }
  /** An answer: the number within its epoch, and how long it took. */
  | { kind: 'ping'; nic: string; epoch: number; seq: number; ms: number }
  /** What had no answer before the next one that had; an answer that comes still later is told as ping all the same. */
  | { kind: 'lost'; nic: string; epoch: number; first: number; last: number }
  /** ping's or another program's own words. */
  | { kind: 'error'; nic?: string; text: string }
  /** A NIC's carrier, and how often it came and went so far. */
  | { kind: 'carrier'; nic: string; up: boolean; ups: number; downs: number }
  | { kind: 'trouble'; what: TroubleKind; line: string }
  /** Anything else. */
  | { kind: 'line'; text: string }
);

/** A fact without what all have. */
type Told = GuestFact extends infer Fact ? (Fact extends GuestFact ? Omit<Fact, 'boot' | 'time'> : never) : never;

/** Bytes of a line that are kept. */
const MAX_LINE = 2000;
const NEWLINE = 0x0a;

// `[   12.345678] text`, where the kernel is built so with `[    T1]` between.
const KERNEL_LINE = /^\[ *(\d+\.\d+)\](?:\[ *[TC]\d+\])? ?(.*)$/s;

/** What init.sh says, and what it means. */
const FACTS: readonly (readonly [RegExp, (...parts: string[]) => Told])[] = [
  [/^boot (\S+)$/, (kernel) => ({ kind: 'boot', kernel: kernel! })],
  [/^ready nics=(\d+)$/, (nics) => ({ kind: 'ready', nics: Number(nics) })],
  [/^address (\S+) (\S+)$/, (nic, address) => ({ kind: 'address', nic: nic!, address: address! })],
  [
    /^ping (\S+) epoch=(\d+) seq=(\d+) ms=(\d+(?:\.\d+)?)$/,
    (nic, epoch, seq, ms) => ({ kind: 'ping', nic: nic!, epoch: Number(epoch), seq: Number(seq), ms: Number(ms) }),
  ],
  [
    /^lost (\S+) epoch=(\d+) first=(\d+) last=(\d+)$/,
    (nic, epoch, first, last) => ({
      kind: 'lost',
      nic: nic!,
      epoch: Number(epoch),
      first: Number(first),
      last: Number(last),
    }),
  ],
  [
    /^carrier (\S+) ([01]) ups=(\d+) downs=(\d+)$/,
    (nic, up, ups, downs) => ({ kind: 'carrier', nic: nic!, up: up === '1', ups: Number(ups), downs: Number(downs) }),
  ],
  [/^error (\S+) (.*)$/, (nic, text) => ({ kind: 'error', ...(nic === '-' ? {} : { nic: nic! }), text: text! })],
];

/** Makes facts of the bytes of a guest's serial console. */
export class GuestConsole {
  readonly #onFact: (fact: GuestFact) => void;
  /** The line that is not ended yet, MAX_LINE bytes of it at most. */
  #pending: Buffer[] = [];
  #length = 0;
  #boots = 0;

  constructor(onFact: (fact: GuestFact) => void) {
    this.#onFact = onFact;
  }

  /** Takes what came. Its bounds mean nothing. */
  feed(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#keep(bytes.subarray(start, end));
      this.#line();
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
  }

  /** No more comes: a line that was not ended is one. */
  end(): void {
    if (this.#length > 0) this.#line();
  }

  #keep(part: Buffer): void {
    const kept = part.subarray(0, MAX_LINE + 1 - this.#length);
    if (kept.length === 0) return;
    // A copy: what a socket gave is reused.
    this.#pending.push(Buffer.from(kept));
    this.#length += kept.length;
  }

  #line(): void {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#length = 0;
    const long = bytes.length > MAX_LINE;
    const whole = bytes.toString('utf8', 0, long ? MAX_LINE : bytes.length).replace(/\r+$/, '');
    const line = `${whole.replaceAll(CONTROL, '')}${long ? '…' : ''}`;
    if (line.trim() === '') return;
    const [, time, text = line] = KERNEL_LINE.exec(line) ?? [];
    const told = time !== undefined && text.startsWith('@vr ') ? ours(text.slice('@vr '.length)) : undefined;
    if (told?.kind === 'boot') this.#boots++;
    this.#onFact({
      boot: this.#boots,
      ...(time === undefined ? {} : { time: Number(time) }),
      ...(told ?? kernels(text) ?? { kind: 'line', text }),
    });
  }
}

/** Control characters, which a firmware sends to its screen. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is meant
const CONTROL = /\x1b\[[\d;?]*[A-Za-z]|[\0-\x08\x0b-\x1f\x7f]/g;

function ours(text: string): Told | undefined {
  for (const [pattern, make] of FACTS) {
    const found = pattern.exec(text);
    if (found) return make(...found.slice(1));
  }
  return undefined;
}

function kernels(line: string): Told | undefined {
  const what = TROUBLE.find(([, pattern]) => pattern.test(line))?.[0];
  return what && { kind: 'trouble', what, line };
}
