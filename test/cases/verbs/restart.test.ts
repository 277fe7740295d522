import { expect, it, vi } from 'vitest';
import { StepFailed } from '../../../src/cases/index.js';
import { perform, stageOf } from './stage.js';

function peerWith(unread: number) {
  const session = { unread, stopReading: vi.fn(), readOn: vi.fn() };
  const leave = vi.fn(async () => {});
  return { session, leave };
}

it('an abrupt end leaves with bytes unread', async () => {
  const peer = peerWith(12);
  const stage = stageOf({ peer, qmp: async () => ({}), pass: async () => {} });
  await perform('restart', stage, { leave: 'abort', away: 0, back: 'never' });
  expect(peer.leave).toHaveBeenCalledWith('abort', 'keep');
  expect(peer.session.readOn).not.toHaveBeenCalled();
});

it('where QEMU sends nothing, or refuses, the peer reads on and stays', async () => {
  const silent = peerWith(0);
  const step = { leave: 'abort', away: 0, back: 'never' };
  await expect(perform('restart', stageOf({ peer: silent, qmp: async () => ({}) }), step)).rejects.toThrow(
    /GUEST_ANNOUNCE/,
  );
  const refused = peerWith(12);
  const qmp = async () => {
    throw new StepFailed('announce-self: no');
  };
  await expect(perform('restart', stageOf({ peer: refused, qmp }), step)).rejects.toThrow('announce-self: no');
  for (const { session, leave } of [silent, refused]) {
    expect(session.readOn).toHaveBeenCalledOnce();
    expect(leave).not.toHaveBeenCalled();
  }
});
