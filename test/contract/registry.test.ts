import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeAll, outages, registry, stalls } from '../../src/contract/index.js';
import type { Event } from '../../src/timeline/index.js';
import { Timeline } from '../../src/timeline/index.js';
import { client, server } from './exchange.js';
import type { Story } from './timeline-builder.js';

const outcomes = (story: Story) =>
  judgeAll(story.timeline()).map(
    ({ requirement, judgement }) => `${requirement} ${judgement.outcome}: ${judgement.seen}`,
  );

const roleOnly: Record<string, string[]> = {
  server: ['R12', 'R13', 'R14', 'R15', 'R16', 'R17'],
  client: ['R6', 'R7', 'R8', 'R9', 'R10', 'R11', 'R13', 'R14', 'R16', 'R17'],
};

describe('the registry', () => {
  it("lists every requirement once, in the contract's order", () => {
    const ids = registry.map(({ id }) => id);
    expect(ids).toEqual([
      ...['R1', 'R2', 'R3', 'R4', 'R5', 'R6', 'R7', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15', 'R16'],
      ...[
        'R17',
        'R18',
        'R19',
        'R20',
        'R21',
        'R22',
        'R23',
        'R24',
        'R25',
        'R26',
        'R27',
        'R28',
        'R29',
        'R30',
        'R31',
        'R32',
      ],
      ...[
        'R34',
        'R35',
        'R36',
        'R37',
        'R38',
        'R39',
        'R40',
        'R41',
        'R42',
        'R43',
        'R44',
        'R45',
        'R46',
        'R47',
        'R48',
        'R49',
        'R50',
        'R51',
        'R52',
        'T1',
        'T2',
        'T3',
        'T4',
        'T5',
        'M1',
      ],
    ]);
  });

  it('cites a source for every requirement', () => {
    for (const { sources } of registry)
      for (const source of sources) expect(source).toMatch(/^(spec:.+|qemu:[\w./-]+#\w+|defect:[\w-]+)$/);
  });
});

describe('a faultless run', () => {
  for (const [role, story] of [
    ['server', server()],
    ['server', server({ pairs: 2, away: [200, 6000, 1] })],
    ['server', server({ driver: 'none', away: [10_000] })],
    ['client', client()],
    ['client', client({ pairs: 2, away: [200, 6000] })],
    ['client', client({ driver: 'none' })],
    ['server', server({ removal: true })],
    ['client', client({ removal: true, away: [] })],
  ] as const)
    it(`breaks nothing (${role}, ${story.find('run.begin').driver}, ${story.find('run.begin').queuePairs} pairs)`, () => {
      expect(outcomes(story).filter((line) => line.includes('break'))).toEqual([]);
    });

  for (const [role, story] of Object.entries({ server: server(), client: client() }))
    it(`gives occasion to all but the other role's requirements (${role})`, () => {
      const idle = judgeAll(story.timeline()).filter(({ judgement }) => judgement.outcome === 'not-applicable');
      // Nobody waits in the backlog, no option is strange, QEMU has nothing to say and no events, the peer does nothing wrong, no ring is
      // packed, nothing is migrated, announced or yanked, no guest boots, and looks are few.
      const waiting = [
        ...(role === 'server' ? ['R6', 'R10', 'R11'] : ['R15']),
        ...['R34', 'R35', 'R36', 'R37', 'R38', 'R39', 'R40', 'R41', 'R42', 'R43'],
        ...['R45', 'R49', 'R50', 'R52', 'T4', 'T5'],
      ];
      expect(idle.map(({ requirement }) => requirement).sort()).toEqual([...roleOnly[role]!, ...waiting].sort());
    });

  it('breaks nothing with an older QEMU, which has no SET_VRING_ERR', () => {
    const old = server({ version: '5.2.0' }).without('wire.recv', ({ name }) => name === 'SET_VRING_ERR');
    expect(outcomes(old).filter((line) => line.includes('break'))).toEqual([]);
  });
});

describe('judges', () => {
  const plain = client({ away: [500, 1200] });
  const { t } = plain.find('ring.start');
  const guest = plain
    .with('run.begin', () => true, { driver: 'guest' })
    .plus(
      { t: t + 1, type: 'guest.carrier', nic: 'eth0', up: true },
      { t: t + 2, type: 'guest.ready' },
      { t: t + 3, type: 'guest.trouble', what: 'tx-timeout', line: 'TX timeout' },
      { t: t + 4, type: 'qmp.event', event: 'STOP', data: {} },
      ...[0, 1, 2, 3].map((n) => ({
        ...{ t: t + 100 + 800 * n, type: 'guest.ping' as const, nic: 'eth0', epoch: 1, number: n, latency: 1 },
      })),
    );
  const sources = [server({ pairs: 2, away: [200, 3100] }), plain, guest].map((story) => story.timeline().events);
  const renumbered = (events: readonly Event[]) => new Timeline(events.map((event, seq) => ({ ...event, seq })));
  const total = (timeline: Timeline) => {
    expect(judgeAll(timeline)).toHaveLength(registry.length);
    outages(timeline);
    stalls(timeline);
  };
  const runs = { numRuns: 60 };

  it('never throw, however short the timeline', () => {
    fc.assert(
      fc.property(fc.constantFrom(...sources), fc.nat(), fc.nat(), (events, a, b) => {
        total(renumbered(events.slice(a % events.length, (a % events.length) + (b % events.length))));
      }),
      runs,
    );
    total(new Timeline([]));
  });

  it('never throw, whatever is missing', () => {
    fc.assert(
      fc.property(fc.constantFrom(...sources), fc.infiniteStream(fc.boolean()), (events, keep) => {
        const choice = keep[Symbol.iterator]();
        total(renumbered(events.filter(() => choice.next().value === true)));
      }),
      runs,
    );
  });

  it('never throw, in whatever order', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...sources).chain((events) => fc.shuffledSubarray([...events])),
        (events) => total(renumbered(events)),
      ),
      runs,
    );
  });

  it('are pure: the same timeline gets the same results', () => {
    expect(judgeAll(server().timeline())).toEqual(judgeAll(server().timeline()));
  });
});
