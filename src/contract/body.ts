import type { EventOf, Json, RunBegin, Timeline } from '../timeline/index.js';

/** A field of a message's JSON body; undefined when it is not there. Bodies come from files too, so nothing is taken for granted. */
function field(body: Json, key: string): Json | undefined {
  return body !== null && typeof body === 'object' && !Array.isArray(body) ? body[key] : undefined;
}

/** A number in a body, e.g. `index` or `num`. */
export function numberIn(body: Json, key: string): number | undefined {
  const value = field(body, key);
  return typeof value === 'number' ? value : undefined;
}

/** A 64-bit value in a body (see Hex). */
export function bigIn(body: Json, key: string): bigint | undefined {
  return toBig(field(body, key));
}

/** A flag in a body. */
export function flagIn(body: Json, key: string): boolean {
  return field(body, key) === true;
}

/** A text in a body, e.g. `netdev-id`. */
export function textIn(body: Json, key: string): string | undefined {
  const value = field(body, key);
  return typeof value === 'string' ? value : undefined;
}

/** A list in a body, e.g. `regions`. */
export function listIn(body: Json, key: string): readonly Json[] {
  const value = field(body, key);
  return Array.isArray(value) ? value : [];
}

/** A nested body, e.g. `region`. */
export function bodyIn(body: Json, key: string): Json {
  return field(body, key) ?? null;
}

/** A Hex as bigint; undefined for anything else. */
export function toBig(value: Json | undefined): bigint | undefined {
  return typeof value === 'string' && /^0x[0-9a-f]+$/i.test(value) ? BigInt(value) : undefined;
}

/** The variant's context; undefined in a timeline whose head is missing. */
export function contextOf(t: Timeline): RunBegin | undefined {
  const first = t.events[0];
  return first?.type === 'run.begin' ? first : undefined;
}

/** Whether a QEMU version `major.minor.micro` is at least `major.minor`. */
export function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}

/** QMP's answer to a command. */
export function answerTo(t: Timeline, { id, seq }: EventOf<'qmp.command'>): EventOf<'qmp.reply'> | undefined {
  return t.first('qmp.reply', (reply) => reply.id === id, seq);
}
