import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { FdSocket, OsError } from '../../src/os/index.js';
import { HEADER_SIZE } from '../../src/wire/index.js';
import { rig, seen } from './rig.js';

describe('how a session ends, as the other end sees it', () => {
  test('close: the end of the stream', async () => {
    const { frontEnd, session, closed } = rig();
    await frontEnd.askU64('GET_FEATURES');
    session.leave('close');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    const end = await closed();
    expect(end).toMatchObject({ by: 'peer', how: 'close' });
    expect(end).not.toHaveProperty('unread');
  });

  test('abort: a reset, with the bytes that stayed unread', async () => {
    const { frontEnd, session, closed } = rig();
    await frontEnd.askU64('GET_FEATURES');
    session.stopReading();
    frontEnd.send('SEND_RARP', { kind: 'u64', value: 1n });
    expect(session.unread).toBe(HEADER_SIZE + 8);
    session.leave('abort');
    expect(await frontEnd.ended).toEqual({ how: 'ECONNRESET', partial: 0 });
    expect(await closed()).toMatchObject({ by: 'peer', how: 'abort', unread: HEADER_SIZE + 8 });
    expect(session.unread).toBe(0);
  });

  test('half-message: half of a reply, then the end', async () => {
    const { frontEnd, session, closed } = rig();
    await frontEnd.askU64('GET_FEATURES');
    session.leave('half-message');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 10 });
    expect(await closed()).toMatchObject({ by: 'peer', how: 'half-message' });
  });

  test('the front-end hangs up', async () => {
    const { frontEnd, session, closed } = rig();
    await frontEnd.askU64('GET_FEATURES');
    frontEnd.socket.close();
    expect(await closed()).toMatchObject({ by: 'front-end', how: 'eof' });
    expect(session.open).toBe(false);
  });

  test('the front-end hangs up with a reply unread', async () => {
    const { frontEnd, recorder, closed } = rig();
    frontEnd.socket.pauseReading();
    frontEnd.send('GET_FEATURES');
    await seen(recorder, 'wire.send');
    frontEnd.socket.close();
    expect(await closed()).toMatchObject({ by: 'front-end', how: 'reset' });
  });

  test('the front-end hangs up before its question is answered', async () => {
    const { frontEnd, closed } = rig();
    for (let i = 0; i < 3; i++) frontEnd.send('GET_FEATURES');
    frontEnd.socket.close();
    expect(await closed()).toMatchObject({ by: 'front-end' });
  });
});

test('leaving twice, or after the other end, is one end', async () => {
  const { frontEnd, session, recorder, closed } = rig();
  frontEnd.socket.close();
  await closed();
  for (const how of ['close', 'abort', 'half-message'] as const) session.leave(how);
  session.fail(new OsError('EPIPE', 'sendmsg'));
  expect(recorder.timeline().all('session.close')).toHaveLength(1);
  expect(recorder.latest('tester.trouble')).toBeUndefined();
});

test('rings stop before the end is recorded', async () => {
  const { frontEnd, session, recorder } = rig();
  await frontEnd.handshake();
  frontEnd.startRings();
  await frontEnd.askU64('GET_FEATURES');
  session.leave('close');
  expect(recorder.events.slice(-3).map(({ type }) => type)).toEqual(['ring.stop', 'ring.stop', 'session.close']);
});

describe('a session that was to be left unread', () => {
  test('reads on when it is not left, also what came meanwhile', async () => {
    const { frontEnd, session } = rig();
    session.stopReading();
    const answer = frontEnd.askU64('GET_FEATURES');
    expect(session.unread).toBe(HEADER_SIZE);
    session.readOn();
    await answer;
    expect(session.unread).toBe(0);
  });

  test('waits on while a message is held, or it would be told for ever that there is something to read', async () => {
    const { frontEnd, session, recorder } = rig({ fault: { hold: { message: 'SET_OWNER' } } });
    frontEnd.send('SET_OWNER');
    await seen(recorder, 'peer.fault');
    session.stopReading();
    const answer = frontEnd.askU64('GET_FEATURES');
    const watched = vi.spyOn(FdSocket.prototype, 'onReadable');
    onTestFinished(() => watched.mockRestore());
    session.readOn();
    expect(watched).not.toHaveBeenCalled();
    session.resume();
    await answer;
  });
});
