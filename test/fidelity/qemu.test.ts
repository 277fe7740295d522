import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findQemu, probe, type Workspace } from '../../src/qemu/index.js';
import { compareWithMock, courseWorkspace, transcriptsOf } from './mock-course.js';

/** More QEMUs to compare beside the installed one: path:path. */
const more = process.env.VHOST_RECONNECT_FIDELITY_QEMUS?.split(':').filter((path) => path !== '') ?? [];
const qemus = await Promise.all([await findQemu(), ...more].map((path) => probe(path)));
const compared = qemus.filter((facts) => transcriptsOf(facts).length > 0);

let workspace: Workspace;
beforeAll(async () => {
  workspace = await courseWorkspace();
});
afterAll(() => workspace.close());

describe.concurrent.each(compared.map((facts) => ({ version: facts.version, facts })))('QEMU $version', ({ facts }) => {
  const transcripts = transcriptsOf(facts).map((transcript) => ({ name: transcript.name, transcript }));
  test.each(transcripts)('$name: it sends the mock peer what it sent the real back-end', async ({ transcript }) => {
    const { messages, faults } = await compareWithMock(workspace, transcript, facts);
    expect(faults).toEqual([]);
    expect(messages).toBeGreaterThan(0);
  });
});

test.runIf(compared.length > 0)('a back-end that offers something else is sent something else', async () => {
  const facts = compared[0]!;
  const transcript = transcriptsOf(facts).find(({ role }) => role === 'server')!;
  const another = transcript.profile === 'testpmd-22.11' ? 'ovs-dpdk-3.1' : 'testpmd-22.11';
  const { faults } = await compareWithMock(workspace, transcript, facts, another);
  const features = /^boot: not listed: recorded 2 SET_FEATURES .*; seen 2 SET_FEATURES /;
  expect(faults).toContainEqual(expect.stringMatching(features));
});

test('each QEMU that was asked for has transcripts', () => {
  const without = qemus.slice(1).filter((facts) => !compared.includes(facts));
  expect(without.map(({ path, version }) => `${path}: ${version}`)).toEqual([]);
});
