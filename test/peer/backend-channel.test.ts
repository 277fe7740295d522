import { describe, expect, onTestFinished, test } from 'vitest';
import { closeFd, FdSocket, socketPair } from '../../src/os/index.js';
import {
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  specByName,
  VERSION,
} from '../../src/wire/index.js';
import { FrontEnd } from './front-end.js';
import { rig, seen } from './rig.js';

const HOST_NOTIFIER = {
  kind: 'vring-area',
  vring: { index: 1, noFd: true },
  size: 4096n,
  offset: 0n,
} as const;

/** A session with its back-end channel; `far` is QEMU's end of it. */
async function channel() {
  const made = rig();
  const [near, other] = socketPair();
  const far = new FrontEnd(FdSocket.fromFd(other));
  onTestFinished(() => far.close());
  expect(await made.frontEnd.askU64('SET_BACKEND_REQ_FD', { kind: 'none' }, { fds: [near], needReply: true })).toBe(0n);
  closeFd(near);
  return { ...made, far };
}

describe('the channel of the back-end', () => {
  test('a request arrives, and the answer is recorded', async () => {
    const { session, recorder, far } = await channel();
    session.backend!.request('BACKEND_VRING_HOST_NOTIFIER_MSG', HOST_NOTIFIER, { needReply: true });
    const request = await far.next();
    expect(request).toMatchObject({
      request: specByName('BACKEND_VRING_HOST_NOTIFIER_MSG').id,
      flags: VERSION | FLAG_NEED_REPLY,
      payload: encodePayload(HOST_NOTIFIER),
    });
    expect(recorder.latest('wire.send')).toMatchObject({
      channel: 'backend',
      name: 'BACKEND_VRING_HOST_NOTIFIER_MSG',
      fds: 0,
    });
    const payload = encodePayload({ kind: 'u64', value: 1n });
    far.socket.send(encodeMessage({ request: request.request, flags: VERSION | FLAG_REPLY, payload }));
    expect(await seen(recorder, 'wire.backend-recv')).toMatchObject({
      name: 'BACKEND_VRING_HOST_NOTIFIER_MSG',
      body: { value: '0x1' },
    });
  });

  test('a descriptor goes with a request and stays the caller’s', async () => {
    const { session, far, recorder } = await channel();
    const [a, b] = socketPair();
    const vring = { index: 1, noFd: false };
    session.backend!.request('BACKEND_VRING_HOST_NOTIFIER_MSG', { ...HOST_NOTIFIER, vring }, { fds: [a] });
    const { fds } = await far.next();
    expect(fds).toHaveLength(1);
    expect(recorder.latest('wire.send')?.fds).toBe(1);
    for (const fd of [a, b, ...fds]) closeFd(fd);
  });

  test.each([
    ['closes it', (far: FrontEnd) => far.socket.close()],
    ['sends garbage', (far: FrontEnd) => far.socket.send(Buffer.alloc(12, 0xff))],
    [
      'answers with a payload of the wrong size',
      (far: FrontEnd) => far.socket.send(encodeMessage({ request: 3, flags: VERSION, payload: Buffer.alloc(3) })),
    ],
  ])('when the front-end %s, the session goes on without it', async (_what, trouble) => {
    const { session, frontEnd, recorder, far } = await channel();
    trouble(far);
    if (!far.socket.closed) await far.ended;
    expect(await frontEnd.askU64('GET_STATUS')).toBe(0n);
    session.backend!.request('BACKEND_VRING_HOST_NOTIFIER_MSG', HOST_NOTIFIER);
    expect(await frontEnd.askU64('GET_STATUS')).toBe(0n);
    expect(session.open).toBe(true);
    expect(recorder.latest('tester.trouble')).toBeUndefined();
  });

  test('an unknown answer is recorded by its number, its descriptors are closed', async () => {
    const { recorder, far } = await channel();
    const [a, b] = socketPair();
    const payload = encodePayload({ kind: 'u64', value: 1n });
    far.socket.send(encodeMessage({ request: 99, flags: VERSION, payload }), [a]);
    closeFd(a);
    expect(await seen(recorder, 'wire.backend-recv')).toMatchObject({ name: '#99', body: { value: '0x1' } });
    far.socket.send(encodeMessage({ request: 98, flags: VERSION, payload: Buffer.alloc(0) }));
    expect(await seen(recorder, 'wire.backend-recv', ({ name }) => name === '#98')).toMatchObject({ body: {} });
    const other = FdSocket.fromFd(b);
    onTestFinished(() => other.close());
    await new Promise<void>((resolve) => {
      other.onReadable(() => {
        other.pauseReading();
        resolve();
      });
    });
    expect(other.receive(1)).toBe('eof');
  });

  test('it ends with the session', async () => {
    const { session, far } = await channel();
    session.leave('close');
    expect(await far.ended).toEqual({ how: 'eof', partial: 0 });
    expect(() =>
      session.backend!.request('BACKEND_VRING_HOST_NOTIFIER_MSG', HOST_NOTIFIER, { needReply: true }),
    ).not.toThrow();
  });
});
