import { join } from 'node:path';
import { expect, it } from 'vitest';
import { builtinCases, loadCatalogue, vocabulary } from '../../src/cases/index.js';
import { allVariants } from '../../src/cli/catalogue.js';
import { guestFiles } from '../../src/guest/index.js';
import { findQemu, probe } from '../../src/qemu/index.js';
import { run } from '../../src/runner/index.js';
import { readTimeline } from '../../src/timeline/index.js';
import { DEADLINE_MS, guestFolder } from '../guest/bench.js';
import { scratch } from '../qemu/support.js';

const tester = { name: 'vhost-reconnect', version: '0.0.0' };

it('a real guest sees its back-end go and come: carrier, pings and kernel are judged', {
  timeout: 3 * DEADLINE_MS,
}, async () => {
  const all = allVariants(await loadCatalogue([builtinCases], vocabulary));
  const variants = all.filter(({ id }) =>
    ['guest.restart[role=client,leave=half-message,away=200ms]', 'guest.queues[role=server]'].includes(id),
  );
  expect(variants).toHaveLength(2);
  const out = await scratch();
  const facts = await probe(await findQemu());
  const result = await run({ variants, facts, guest: guestFiles(guestFolder()), tester, out });
  for (const variant of result.variants) {
    expect(variant, variant.reason).toMatchObject({ verdict: 'pass' });
    const judgement = (id: string) => variant.requirements.find(({ requirement }) => requirement === id)!.judgement;
    for (const id of ['R31', 'R43', 'T5']) expect(judgement(id), id).toMatchObject({ outcome: 'hold' });
    // Before and after each loss there were pings, and the guest saw the link come back.
    expect(variant.outages.length).toBeGreaterThanOrEqual(2);
    for (const outage of variant.outages) expect(outage.pingMs).toBeGreaterThan(outage.awayMs);
    const timeline = await readTimeline(join(out, variant.timeline!));
    expect(timeline.first('run.begin')).toMatchObject({ driver: 'guest' });
    expect(timeline.all('guest.carrier').filter(({ up }) => !up).length).toBeGreaterThanOrEqual(2);
    expect(timeline.all('guest.carrier').at(-1)).toMatchObject({ up: true });
    expect(timeline.all('step.end').every(({ outcome }) => outcome === 'done')).toBe(true);
  }
  // As many rings as the guest has queues.
  const queues = result.variants.find(({ case: id }) => id === 'guest.queues')!;
  const timeline = await readTimeline(join(out, queues.timeline!));
  expect(new Set(timeline.all('ring.start').map(({ ring }) => ring))).toEqual(new Set([0, 1, 2, 3]));
});
