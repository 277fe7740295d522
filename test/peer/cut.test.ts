import { describe, expect, test } from 'vitest';
import { FdSocket } from '../../src/os/index.js';
import { type Cut, cutPlaces, cutText, parseCut } from '../../src/peer/index.js';
import { HEADER_SIZE } from '../../src/wire/index.js';
import { rig, seen } from './rig.js';
import { dial, site } from './sites.js';

describe('a cut as text', () => {
  test.each(cutPlaces)('SET_VRING_CALL.2.%s and back', (place) => {
    const cut: Cut = { message: 'SET_VRING_CALL', nth: 2, place };
    expect(parseCut(cutText(cut))).toEqual(cut);
  });

  test.each([
    '',
    'SET_VRING_CALL',
    'SET_VRING_CALL.0.after-read',
    'set.1.after-read',
    'SET_OWNER.1.later',
    'A.1.after-read.',
  ])('not %j', (text) => {
    expect(() => parseCut(text)).toThrow(expect.objectContaining({ code: 'ERR_CUT' }));
  });
});

/** A session that leaves at a cut; what QEMU would see is seen by the front-end of the test. */
function cutRig(text: string) {
  const gone: number[] = [];
  const made = rig({ cut: parseCut(text), onCut: () => gone.push(made.recorder.events.length) });
  return { ...made, gone };
}

describe('where at a message the peer leaves', () => {
  test('before reading it: a reset, the message unread and not in the record', async () => {
    const { frontEnd, recorder, closed } = cutRig('SET_OWNER.1.before-read');
    await frontEnd.askU64('GET_FEATURES');
    frontEnd.send('SET_OWNER');
    expect(await frontEnd.ended).toEqual({ how: 'ECONNRESET', partial: 0 });
    expect(await closed()).toMatchObject({
      by: 'peer',
      how: 'abort',
      unread: HEADER_SIZE,
      cut: 'SET_OWNER.1.before-read',
    });
    expect(recorder.timeline().all('wire.recv')).toHaveLength(1);
  });

  test('with its payload unread: a reset', async () => {
    const { frontEnd, recorder, closed } = cutRig('SET_FEATURES.1.half-read');
    frontEnd.send('SET_FEATURES', { kind: 'u64', value: 1n });
    expect(await frontEnd.ended).toEqual({ how: 'ECONNRESET', partial: 0 });
    expect(await closed()).toMatchObject({ how: 'abort', unread: 8 });
    expect(recorder.timeline().all('wire.recv')).toHaveLength(0);
  });

  test('after reading it: the end of the stream, whatever came behind it', async () => {
    const { frontEnd, recorder, closed } = cutRig('SET_OWNER.1.after-read');
    for (let i = 0; i < 3; i++) frontEnd.send('SET_OWNER');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    expect(await closed()).toMatchObject({ how: 'close', cut: 'SET_OWNER.1.after-read' });
    expect(recorder.timeline().all('wire.recv')).toHaveLength(1);
  });

  test.each([
    ['half-header', HEADER_SIZE / 2],
    ['half-payload', HEADER_SIZE + 4],
  ])('%s of its answer', async (place, partial) => {
    const { frontEnd, recorder, closed } = cutRig(`GET_FEATURES.1.${place}`);
    frontEnd.send('GET_FEATURES');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial });
    expect(await closed()).toMatchObject({ how: 'half-message' });
    // What QEMU cannot read is no answer.
    expect(recorder.timeline().all('wire.send')).toHaveLength(0);
  });

  test('after its answer', async () => {
    const { frontEnd, closed } = cutRig('GET_FEATURES.1.after-reply');
    await frontEnd.askU64('GET_FEATURES');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    expect(await closed()).toMatchObject({ how: 'close' });
  });

  test('after an acknowledgement', async () => {
    const { frontEnd, closed } = cutRig('SET_OWNER.1.after-reply');
    frontEnd.send('SET_OWNER', { kind: 'none' }, { needReply: true });
    await frontEnd.next();
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    expect(await closed()).toMatchObject({ cut: 'SET_OWNER.1.after-reply' });
  });

  test('messages of another name do not count, and it is the nth of its own', async () => {
    const { frontEnd, recorder } = cutRig('GET_FEATURES.2.after-read');
    await frontEnd.askU64('GET_FEATURES');
    await frontEnd.askU64('GET_QUEUE_NUM');
    frontEnd.send('GET_FEATURES');
    await frontEnd.ended;
    expect(recorder.timeline().all('wire.recv')).toHaveLength(3);
  });

  test('whoever is to know that the peer is gone knows before the end is recorded', async () => {
    const { frontEnd, recorder, closed, gone } = cutRig('SET_OWNER.1.after-read');
    frontEnd.send('SET_OWNER');
    await closed();
    expect(gone).toEqual([1]);
    expect(recorder.events[1]).toMatchObject({ type: 'session.close' });
  });
});

describe('a peer with a cut', () => {
  test('that listens refuses from the moment on at which it left, and serves again when it arrives', async () => {
    const { path, recorder, peer } = site('client');
    await peer.arrive();
    peer.arm(parseCut('SET_OWNER.1.after-read'));
    const first = await dial(path);
    first.send('SET_OWNER');
    await first.ended;
    expect(peer.cutFired).toBe(true);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(recorder.latest('peer.unlisten')).toMatchObject({ removed: false });
    peer.disarm();
    expect(peer.cutFired).toBe(false);
    await peer.arrive();
    const second = await dial(path);
    second.send('SET_OWNER');
    expect(await second.askU64('GET_FEATURES')).toBeGreaterThan(0n);
  });

  test('counts on from one session to the next', async () => {
    const { path, recorder, peer } = site('client');
    await peer.arrive();
    peer.arm(parseCut('GET_FEATURES.2.after-read'));
    const first = await dial(path);
    await first.askU64('GET_FEATURES');
    first.socket.close();
    await seen(recorder, 'session.close');
    const second = await dial(path);
    second.send('GET_FEATURES');
    expect(await second.ended).toMatchObject({ how: 'eof' });
  });
});
