import type { Event } from '../../timeline/index.js';
import { featureNames, protocolFeatureNames } from '../../wire/index.js';
import { describeEvent } from '../describe.js';
import { clip, wrap } from '../format.js';
import { clock } from './draw.js';

const MAX_TEXT = 600;
const WIDTH = 100;

/** The messages among some events, one a line, with feature bits by name below. */
export function messageLines(events: readonly Event[]): string[] {
  return events.flatMap((event) => {
    if (!event.type.startsWith('wire.')) return [];
    const names = 'body' in event ? bitNames(event) : [];
    return [
      `${clock(event.t).padStart(10)}  ${clip(describeEvent(event), MAX_TEXT)}`,
      ...(names.length > 0 ? wrap(names.join(' '), WIDTH).map((line) => `${' '.repeat(15)}${line}`) : []),
    ];
  });
}

function bitNames({ name, body }: Extract<Event, { body: unknown }>): string[] {
  const value = body !== null && typeof body === 'object' && !Array.isArray(body) ? body.value : undefined;
  if (typeof value !== 'string' || !/^0x[0-9a-f]+$/.test(value)) return [];
  if (name === 'GET_FEATURES' || name === 'SET_FEATURES') return featureNames(BigInt(value));
  if (name === 'GET_PROTOCOL_FEATURES' || name === 'SET_PROTOCOL_FEATURES') return protocolFeatureNames(BigInt(value));
  return [];
}
