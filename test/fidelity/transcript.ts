import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Role } from '../../src/timeline/index.js';
import {
  type FrontEndName,
  hex,
  type JsonObject,
  type Payload,
  type Region,
  specByName,
} from '../../src/wire/index.js';

/**
 * What happened between a front-end and a back-end, as text. A head of `qemu`, `role`, `profile` and `pairs`; then phases,
 * each a line `phase NAME` and what follows; `#` starts a comment. In a phase, one line for each message:
 *
 *     2.7475 ->   8 SET_VRING_NUM         0x1  8  index=0 num=256
 *     time   dir  request's number, name  flags payload's bytes, fields [fds=count]
 *
 * `->` is the front-end's, `<-` the back-end's reply. Fields have the names of the timeline's bodies; a memory region is
 * `region=guest+size@user:offset`. A line with `--` is what happened to the connection.
 */
export interface Transcript {
  /** The file's name without its extension. */
  name: string;
  qemu: string;
  /** QEMU's role. */
  role: Role;
  /** Name of the profile that stands for the back-end. */
  profile: string;
  pairs: number;
  phases: Phase[];
}

/**
 * What leads to a phase: QEMU's start with its guest; the back-end came back after `kill -9`, after an orderly exit, after
 * a loss of which the cause was not recorded; QMP's stop, cont, system_reset, quit.
 */
export const phaseNames = ['boot', 'after-kill', 'after-exit', 'after-loss', 'stop', 'cont', 'reset', 'quit'] as const;
export type PhaseName = (typeof phaseNames)[number];

export interface Phase {
  name: PhaseName;
  lines: Line[];
}

export type Line = MessageLine | ConnectionLine;

/** A message, as timelines have it. */
export interface MessageLine {
  /** Seconds, from an origin of the transcript's own. */
  t: number;
  from: 'front-end' | 'back-end';
  request: number;
  name: FrontEndName;
  flags: number;
  /** Bytes of the payload. */
  size: number;
  body: JsonObject;
  fds: number;
}

/**
 * What happened to the connection: it was made; a dial of QEMU's failed, `times` in a row; the back-end's end showed as
 * `eof` or `reset`; the back-end reads no further (`stops-reading`: what follows stays unread); QEMU ended by `killed` or
 * `quit`.
 */
export interface ConnectionLine {
  t: number;
  what: (typeof connectionEvents)[number];
  times: number;
}
const connectionEvents = [
  'connected',
  'ECONNREFUSED',
  'ENOENT',
  'eof',
  'reset',
  'stops-reading',
  'killed',
  'quit',
] as const;

export const isMessage = (line: Line): line is MessageLine => 'from' in line;

const folder = join(import.meta.dirname, 'transcripts');

/** Every recorded transcript, by name. @throws Error naming file and line */
export function recordedTranscripts(): Transcript[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
  return files.sort().map((file) => parseTranscript(basename(file, '.txt'), readFileSync(join(folder, file), 'utf8')));
}

/** Reads the text form. @throws Error naming the line */
export function parseTranscript(name: string, text: string): Transcript {
  const head = new Map<string, string>();
  const phases: Phase[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '') continue;
    try {
      const [first, second = ''] = line.split(/\s+/);
      if (first === 'phase') phases.push({ name: oneOf(phaseNames, second), lines: [] });
      else if (phases.length > 0) phases.at(-1)!.lines.push(parseLine(line));
      else head.set(first!, second);
    } catch (error) {
      throw new Error(`${name}:${i + 1}: ${(error as Error).message}: ${line}`);
    }
  }
  const of = (key: string): string => {
    const value = head.get(key);
    if (value === undefined) throw new Error(`${name}: the head has no ${key}`);
    return value;
  };
  const role = oneOf(['server', 'client'] as const, of('role'));
  return { name, qemu: of('qemu'), role, profile: of('profile'), pairs: Number(of('pairs')), phases };
}

/** A message's fields as text: `index=0 num=256`. */
export function fieldsText(body: JsonObject): string {
  const texts = Object.entries(body).map(([key, value]) => {
    if (key === 'regions') return (value as JsonObject[]).map(regionText).join(' ');
    if (key === 'noFd') return value ? 'noFd' : '';
    return `${key}=${value}`;
  });
  return texts.filter((text) => text !== '').join(' ');
}

/** The payload that a message line stands for. */
export function payloadOf({ name, from, size, body }: MessageLine): Payload {
  const spec = specByName(name);
  // A reply that the spec gives no layout is the u64 of REPLY_ACK.
  const own = from === 'front-end' ? spec.request.payload : spec.reply.rule === 'always' ? spec.reply.payload : 'u64';
  const kind = size === 0 ? 'none' : own;
  const number = (key: string) => Number(body[key]);
  const wide = (key: string) => BigInt(body[key] as string);
  switch (kind) {
    case 'none':
      return { kind };
    case 'u64':
      return { kind, value: wide('value') };
    case 'vring-state':
      return { kind, index: number('index'), num: number('num') };
    case 'vring-fd':
      return { kind, index: number('index'), noFd: body.noFd === true };
    case 'vring-addr':
      return {
        kind,
        index: number('index'),
        flags: number('flags'),
        descUserAddr: wide('desc'),
        usedUserAddr: wide('used'),
        availUserAddr: wide('avail'),
        logGuestAddr: wide('log'),
      };
    case 'memory':
      return { kind, regions: regionsOf(body) };
    default:
      throw new Error(`no transcript has a ${kind}`);
  }
}

/** The regions of a SET_MEM_TABLE. */
export function regionsOf(body: JsonObject): Region[] {
  return (body.regions as { [key in keyof Region]: string }[]).map(({ guestAddr, size, userAddr, mmapOffset }) => ({
    guestAddr: BigInt(guestAddr),
    size: BigInt(size),
    userAddr: BigInt(userAddr),
    mmapOffset: BigInt(mmapOffset),
  }));
}

function parseLine(line: string): Line {
  const [time = '', dir = '', ...rest] = line.split(/\s+/);
  const t = Number(time);
  if (Number.isNaN(t)) throw new Error('no time');
  if (dir === '--') return { t, what: oneOf(connectionEvents, rest[0]!), times: Number(rest[1] ?? 1) };
  const [id = '', name = '', flags = '', size = '', ...fields] = rest;
  const from = dir === '->' ? 'front-end' : dir === '<-' ? 'back-end' : undefined;
  const spec = specByName(name as FrontEndName);
  if (!from || spec?.id !== Number(id)) throw new Error('no such direction, or no such message');
  let fds = 0;
  const body: JsonObject = {};
  for (const field of fields) {
    const [key = '', value = ''] = field.split('=');
    if (key === 'fds') fds = Number(value);
    else if (key === 'region') body.regions = [...((body.regions as JsonObject[]) ?? []), parseRegion(value)];
    else if (key === 'noFd') body.noFd = true;
    else body[key] = key === 'index' || key === 'num' || key === 'flags' ? Number(value) : value;
  }
  if (from === 'front-end' && spec.request.payload === 'vring-fd') body.noFd ??= false;
  return { t, from, request: spec.id, name: spec.name, flags: Number(flags), size: Number(size), body, fds };
}

function parseRegion(text: string): JsonObject {
  const found = /^(0x[0-9a-f]+)\+(0x[0-9a-f]+)@(0x[0-9a-f]+):(0x[0-9a-f]+)$/.exec(text);
  if (!found) throw new Error(`no region: ${text}`);
  const [guestAddr = '', size = '', userAddr = '', mmapOffset = ''] = found.slice(1).map((part) => hex(BigInt(part)));
  return { guestAddr, size, userAddr, mmapOffset };
}

function regionText({ guestAddr, size, userAddr, mmapOffset }: JsonObject): string {
  return `region=${guestAddr}+${size}@${userAddr}:${mmapOffset}`;
}

function oneOf<const T extends string>(choice: readonly T[], text: string): T {
  const found = choice.find((one) => one === text);
  if (found === undefined) throw new Error(`${text} is none of ${choice.join(', ')}`);
  return found;
}
