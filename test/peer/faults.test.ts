import { describe, expect, onTestFinished, test } from 'vitest';
import { closeFd, FdSocket, socketPair } from '../../src/os/index.js';
import { faultKinds, PeerTraffic, Session, type SessionFault } from '../../src/peer/index.js';
import { Recorder } from '../../src/timeline/index.js';
import {
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  type FrontEndName,
  HEADER_SIZE,
  type Payload,
  specByName,
  VERSION,
} from '../../src/wire/index.js';
import { ownFds } from '../os/helpers.js';
import { profile, rig, seen } from './rig.js';

/** A session whose front-end is a bare socket: it takes any bytes. */
class Bare {
  readonly recorder = new Recorder();
  readonly session: Session;
  readonly socket: FdSocket;
  /** How the connection ended. */
  ended: 'eof' | 'reset' | undefined;
  fds: number[] = [];
  #bytes = Buffer.alloc(0);
  #wake: () => void = () => {};

  constructor(fault: SessionFault) {
    const [ours, theirs] = socketPair();
    this.socket = FdSocket.fromFd(theirs);
    this.session = new Session({
      socket: FdSocket.fromFd(ours),
      number: 1,
      profile,
      recorder: this.recorder,
      traffic: new PeerTraffic(this.recorder),
      fault,
      onClose: () => {},
    });
    onTestFinished(() => this.close());
  }

  send(name: FrontEndName, payload: Payload = { kind: 'none' }, fds: number[] = [], needReply = false): void {
    const flags = VERSION | (needReply ? FLAG_NEED_REPLY : 0);
    this.socket.send(encodeMessage({ request: specByName(name).id, flags, payload: encodePayload(payload) }), fds);
  }

  /** Begins to read. */
  listen(): this {
    this.socket.onReadable(() => {
      try {
        const chunk = this.socket.receive(1 << 16);
        if (chunk === 'again') return;
        if (chunk === 'eof') this.#end('eof');
        else {
          this.#bytes = Buffer.concat([this.#bytes, chunk.bytes]);
          this.fds.push(...chunk.fds);
        }
      } catch {
        this.#end('reset');
      }
      this.#wake();
    });
    return this;
  }

  /** So many bytes, as they came. */
  async take(count: number): Promise<Buffer> {
    while (this.#bytes.length < count)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const part = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return part;
  }

  /** What came and was not taken. */
  get rest(): Buffer {
    return this.#bytes;
  }

  async end(): Promise<'eof' | 'reset'> {
    while (!this.ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.ended;
  }

  close(): void {
    this.session.leave('close');
    this.socket.close();
    for (const fd of this.fds.splice(0)) closeFd(fd);
  }

  #end(how: 'eof' | 'reset'): void {
    this.ended = how;
    this.socket.pauseReading();
  }
}

const bare = (fault: SessionFault): Bare => new Bare(fault).listen();

const reply = (name: FrontEndName, value: bigint, flags = VERSION | FLAG_REPLY): Buffer =>
  encodeMessage({ request: specByName(name).id, flags, payload: encodePayload({ kind: 'u64', value }) });

const FEATURES = reply('GET_FEATURES', profile.features);
const faults = (recorder: Recorder) => recorder.timeline().all('peer.fault');
const replies = (recorder: Recorder) => recorder.timeline().all('wire.send');

test('every kind of fault has a name, a help and a schema, and its name once', () => {
  const names = faultKinds.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { help } of faultKinds) expect(help).toMatch(/^[A-Z].+[^.]$/);
});

describe('silence', () => {
  test('silent: not a byte is read or sent, and the first that comes is told', async () => {
    const far = bare({ silent: true });
    const { recorder, session } = far;
    far.send('GET_FEATURES');
    expect(await seen(recorder, 'peer.fault')).toMatchObject({ fault: 'silent', spoils: 'all' });
    expect(session.unread).toBe(HEADER_SIZE);
    expect(session.stalled).toBe(true);
    expect(session.keepsWaiting).toBe(true);
    expect(recorder.timeline().all('wire.recv')).toEqual([]);
  });

  test('stall: the message is recorded and gets no answer, nor does what follows', async () => {
    const { frontEnd, recorder, session } = rig({ fault: { stall: 'GET_PROTOCOL_FEATURES' } });
    await frontEnd.askU64('GET_FEATURES');
    frontEnd.send('GET_PROTOCOL_FEATURES');
    frontEnd.send('GET_QUEUE_NUM');
    await seen(recorder, 'peer.fault');
    expect(session.stalled).toBe(true);
    expect(session.open).toBe(true);
    expect(recorder.latest('wire.recv')?.name).toBe('GET_PROTOCOL_FEATURES');
    expect(session.unread).toBe(12);
    expect(replies(recorder)).toHaveLength(1);
  });

  test('stall: at the message that is named, not at one before it', async () => {
    const { frontEnd, session } = rig({ fault: { stall: { message: 'GET_FEATURES', nth: 3 } } });
    await frontEnd.askU64('GET_FEATURES');
    await frontEnd.askU64('GET_FEATURES');
    expect(session.stalled).toBe(false);
    frontEnd.send('GET_FEATURES');
    frontEnd.send('GET_STATUS');
    await expect.poll(() => session.stalled).toBe(true);
  });

  test('deaf: what comes after the message stays unread', async () => {
    const { frontEnd, recorder, session } = rig({ fault: { deaf: { after: 'SET_OWNER' } } });
    frontEnd.send('SET_OWNER');
    frontEnd.send('GET_FEATURES');
    expect(await seen(recorder, 'peer.fault')).toMatchObject({ fault: 'deaf', message: 'SET_OWNER', spoils: 'all' });
    expect(session.owned).toBe(true);
    await expect.poll(() => session.unread).toBe(HEADER_SIZE);
    expect(recorder.timeline().all('wire.recv')).toHaveLength(1);
  });

  test('deaf at once, when it is told to', async () => {
    const { frontEnd, session } = rig();
    await frontEnd.askU64('GET_FEATURES');
    session.misbehave({ deaf: true });
    frontEnd.send('GET_FEATURES');
    await expect.poll(() => session.unread).toBe(HEADER_SIZE);
  });
});

describe('late', () => {
  const by = 60;

  test('an answer comes after what a front-end sends without waiting for it', async () => {
    const { frontEnd, recorder } = rig({ fault: { late: { message: 'GET_PROTOCOL_FEATURES', by } } });
    await frontEnd.askU64('GET_FEATURES');
    frontEnd.send('GET_PROTOCOL_FEATURES');
    frontEnd.send('SET_OWNER');
    const answer = await seen(recorder, 'wire.send', ({ name }) => name === 'GET_PROTOCOL_FEATURES');
    const order = recorder.events.flatMap((event) => ('name' in event ? [`${event.type} ${event.name}`] : []));
    expect(order.slice(-3)).toEqual([
      'wire.recv GET_PROTOCOL_FEATURES',
      'wire.recv SET_OWNER',
      'wire.send GET_PROTOCOL_FEATURES',
    ]);
    const [fault] = faults(recorder);
    expect(fault).toMatchObject({ fault: 'late', message: 'GET_PROTOCOL_FEATURES', by });
    expect(fault).not.toHaveProperty('spoils');
    expect(answer.t - fault!.t).toBeGreaterThanOrEqual(by - 2);
  });

  test('a message without an answer holds up all that follow', async () => {
    const { frontEnd, recorder, session } = rig({ fault: { late: { message: 'SET_OWNER', by } } });
    frontEnd.send('SET_OWNER');
    frontEnd.send('GET_FEATURES');
    const fault = await seen(recorder, 'peer.fault');
    expect(session.owned).toBe(false);
    await frontEnd.next();
    expect(session.owned).toBe(true);
    expect(recorder.latest('wire.recv')!.t - fault.t).toBeGreaterThanOrEqual(by - 2);
  });

  test('an answer that nobody is there for any more is dropped, and so is a message', async () => {
    const before = await ownFds();
    const answer = rig({ fault: { late: { message: 'GET_FEATURES', by } } });
    answer.frontEnd.send('GET_FEATURES');
    const message = rig({ fault: { late: { message: 'SET_VRING_CALL', by } } });
    message.frontEnd.setRing(0);
    for (const { recorder, session } of [answer, message]) {
      await seen(recorder, 'peer.fault');
      session.leave('close');
    }
    await new Promise((resolve) => setTimeout(resolve, 2 * by));
    expect(replies(answer.recorder)).toEqual([]);
    expect(message.recorder.latest('wire.recv')?.name).toBe('SET_VRING_CALL');
    for (const { frontEnd } of [answer, message]) frontEnd.close();
    expect(await ownFds()).toBe(before);
  });
});

describe('hold', () => {
  test('an answer waits until it is told to go', async () => {
    const { frontEnd, recorder, session } = rig({ fault: { hold: { message: 'GET_FEATURES' } } });
    expect(session.holds).toBe(false);
    frontEnd.send('GET_FEATURES');
    const fault = await seen(recorder, 'peer.fault');
    expect(fault).toMatchObject({ fault: 'hold', message: 'GET_FEATURES' });
    expect(fault).not.toHaveProperty('spoils');
    expect([session.holds, session.keepsWaiting]).toEqual([true, true]);
    expect(replies(recorder)).toEqual([]);
    session.resume();
    await frontEnd.next();
    expect([session.holds, session.keepsWaiting]).toEqual([false, false]);
  });

  test('a message without an answer holds up all that follow', async () => {
    const { frontEnd, recorder, session } = rig({ fault: { hold: { message: 'SET_OWNER' } } });
    frontEnd.send('SET_OWNER');
    frontEnd.send('GET_FEATURES');
    await seen(recorder, 'peer.fault');
    expect(session.owned).toBe(false);
    session.resume();
    await frontEnd.next();
    expect(session.owned).toBe(true);
  });

  test('nothing can go on that is not held, or whose session is over', async () => {
    const { frontEnd, recorder, session } = rig({ fault: { hold: { message: 'GET_FEATURES' } } });
    expect(() => session.resume()).toThrow(/holds nothing back/);
    frontEnd.send('GET_FEATURES');
    await seen(recorder, 'peer.fault');
    session.leave('close');
    expect(() => session.resume()).toThrow(/holds nothing back/);
    expect(replies(recorder)).toEqual([]);
  });
});

describe('an answer in two parts', () => {
  test.each([1, 11, 12, 19])('comes whole, the rest when the first %i bytes were read', async (at) => {
    const far = new Bare({ split: { message: 'GET_FEATURES', at } });
    far.send('GET_FEATURES');
    await seen(far.recorder, 'peer.fault');
    // Nobody reads yet: the kernel holds the first part, and nothing else comes.
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(far.socket.unread()).toBe(at);
    expect(far.session.keepsWaiting).toBe(true);
    expect(await far.listen().take(FEATURES.length)).toEqual(FEATURES);
    expect(far.session.keepsWaiting).toBe(false);
    expect(replies(far.recorder)).toMatchObject([{ name: 'GET_FEATURES', size: 8 }]);
  });

  test('cannot be cut where it has ended', async () => {
    const far = bare({ split: { message: 'GET_FEATURES', at: FEATURES.length } });
    far.send('GET_FEATURES');
    expect(await far.take(FEATURES.length)).toEqual(FEATURES);
    expect(faults(far.recorder)).toEqual([]);
  });
});

describe('a wrong header', () => {
  const wrong = async (header: Omit<NonNullable<SessionFault['header']>, 'message'>, bytes: number) => {
    const far = bare({ header: { message: 'GET_FEATURES', ...header } });
    far.send('GET_FEATURES');
    const answer = await far.take(bytes);
    far.send('GET_STATUS');
    // The next answer is right again.
    expect(await far.take(20)).toEqual(reply('GET_STATUS', 0n));
    expect(replies(far.recorder)).toMatchObject([{ name: 'GET_STATUS' }]);
    return { answer, fault: faults(far.recorder)[0]! };
  };

  test('has the request that is asked for', async () => {
    const { answer, fault } = await wrong({ request: 99 }, 20);
    expect(answer.readUInt32LE(0)).toBe(99);
    expect(answer.subarray(4)).toEqual(FEATURES.subarray(4));
    expect(fault).toMatchObject({ fault: 'header', message: 'GET_FEATURES', spoils: 'answer' });
    expect(fault).not.toHaveProperty('tolerable');
    expect(fault.bytes).toBe(answer.toString('hex'));
  });

  test('has the flags that are asked for; those beside version and reply may be tolerated', async () => {
    const { answer, fault } = await wrong({ flags: 1 }, 20);
    expect(answer.readUInt32LE(4)).toBe(1);
    expect(fault).not.toHaveProperty('tolerable');
    expect((await wrong({ flags: 6 }, 20)).fault).not.toHaveProperty('tolerable');
    expect((await wrong({ flags: 13 }, 20)).fault.tolerable).toBe(true);
  });

  test('has the size that is asked for, and as many bytes follow it', async () => {
    expect((await wrong({ size: 0 }, 12)).answer.readUInt32LE(8)).toBe(0);
    const { answer, fault } = await wrong({ size: 16 }, 28);
    expect(answer.subarray(12, 20)).toEqual(FEATURES.subarray(12));
    expect(answer.subarray(20)).toEqual(Buffer.alloc(8));
    expect(fault).not.toHaveProperty('half');
  });

  test('may lie about the size', async () => {
    const { answer, fault } = await wrong({ size: 0xffff_ffff }, 20);
    expect(answer.readUInt32LE(8)).toBe(0xffff_ffff);
    expect(fault).toMatchObject({ half: true, announces: 0xffff_ffff });
    expect((await wrong({ size: 16, sent: 3 }, 15)).fault).toMatchObject({ half: true, announces: 16 });
  });

  test('of an acknowledgement: its size may be tolerated, unless nothing has it', async () => {
    const fault = async (size: number) => {
      const far = bare({ header: { message: 'SET_OWNER', size } });
      far.send('SET_OWNER', { kind: 'none' }, [], true);
      return await seen(far.recorder, 'peer.fault');
    };
    expect((await fault(4)).tolerable).toBe(true);
    expect(await fault(4096)).not.toHaveProperty('tolerable');
  });

  test('needs an answer that is due', async () => {
    const far = bare({ header: { message: 'SET_OWNER', flags: 1 } });
    far.send('SET_OWNER');
    far.send('GET_STATUS');
    await far.take(20);
    expect(faults(far.recorder)).toEqual([]);
  });
});

describe('another value', () => {
  test('is a well-formed answer, each time', async () => {
    const { frontEnd, recorder } = rig({ fault: { value: { message: 'GET_QUEUE_NUM', as: '0x8000000000000000' } } });
    for (let i = 0; i < 2; i++) expect(await frontEnd.askU64('GET_QUEUE_NUM')).toBe(1n << 63n);
    expect(await frontEnd.askU64('GET_FEATURES')).toBe(profile.features);
    expect(replies(recorder)[0]).toMatchObject({ name: 'GET_QUEUE_NUM', body: { value: '0x8000000000000000' } });
    expect(faults(recorder)).toMatchObject([{ fault: 'value' }, { fault: 'value' }]);
  });

  test('or only once, where one is named; and refuses where it only acknowledges', async () => {
    const { frontEnd, session } = rig({ fault: { value: { message: 'SET_OWNER', nth: 2, as: 1 } } });
    const options = { needReply: true };
    expect(await frontEnd.askU64('SET_OWNER', { kind: 'none' }, options)).toBe(0n);
    expect(await frontEnd.askU64('SET_OWNER', { kind: 'none' }, options)).toBe(1n);
    expect(await frontEnd.askU64('SET_OWNER', { kind: 'none' }, options)).toBe(0n);
    expect(session.open).toBe(true);
  });
});

describe('bytes too many', () => {
  const GARBAGE = Buffer.alloc(5, 0xa4);

  test('ahead of an answer, which is none then', async () => {
    const far = bare({ stray: { bytes: 5, where: 'before', message: 'GET_FEATURES' } });
    far.send('GET_FEATURES');
    expect(await far.take(25)).toEqual(Buffer.concat([GARBAGE, FEATURES]));
    expect(faults(far.recorder)).toMatchObject([{ fault: 'stray', spoils: 'answer' }]);
    expect(replies(far.recorder)).toEqual([]);
  });

  test('behind an answer, told after it', async () => {
    const far = bare({ stray: { bytes: 5, where: 'after', message: 'GET_FEATURES' } });
    far.send('GET_FEATURES');
    expect(await far.take(25)).toEqual(Buffer.concat([FEATURES, GARBAGE]));
    expect(faults(far.recorder)).toMatchObject([{ spoils: 'stream', bytes: GARBAGE.toString('hex') }]);
    expect(replies(far.recorder)[0]!.seq).toBeLessThan(faults(far.recorder)[0]!.seq);
  });

  test('as soon as it connects, or when it is told to', async () => {
    const far = bare({ stray: { bytes: 5, where: 'after' } });
    expect(await far.take(5)).toEqual(GARBAGE);
    far.session.misbehave({ stray: { bytes: 5, where: 'after' } });
    expect(await far.take(5)).toEqual(GARBAGE);
    expect(faults(far.recorder)).toHaveLength(2);
  });

  test('an answer twice, and one that nobody asked for', async () => {
    const far = bare({ twice: 'GET_FEATURES', unasked: { reply: 'GET_STATUS', after: 'SET_OWNER' } });
    far.send('GET_FEATURES');
    expect(await far.take(40)).toEqual(Buffer.concat([FEATURES, FEATURES]));
    far.send('SET_OWNER');
    expect(await far.take(20)).toEqual(reply('GET_STATUS', 0n));
    expect(faults(far.recorder)).toMatchObject([
      { fault: 'twice', spoils: 'stream' },
      { fault: 'unasked', spoils: 'stream' },
    ]);
    expect(replies(far.recorder)).toHaveLength(1);
    far.session.misbehave({ unasked: { reply: 'GET_STATUS' } });
    expect(await far.take(20)).toEqual(reply('GET_STATUS', 0n));
  });
});

test('descriptors come with an answer, and the session keeps none', async () => {
  const far = bare({ fds: { message: 'GET_FEATURES', count: 3 } });
  const before = await ownFds();
  far.send('GET_FEATURES');
  expect(await far.take(20)).toEqual(FEATURES);
  expect(far.fds).toHaveLength(3);
  expect(await ownFds()).toBe(before + 3);
  expect(replies(far.recorder)).toMatchObject([{ name: 'GET_FEATURES', fds: 3 }]);
  expect(faults(far.recorder)).toMatchObject([{ fault: 'fds', spoils: 'answer', tolerable: true }]);
});

describe('requests of the back-end', () => {
  /** A session with its back-end channel. */
  async function channel(fault: SessionFault = {}) {
    const far = bare(fault);
    const [near, other] = socketPair();
    const end = FdSocket.fromFd(other);
    onTestFinished(() => end.close());
    const got = { bytes: Buffer.alloc(0), fds: [] as number[], ended: false };
    onTestFinished(() => got.fds.forEach(closeFd));
    end.onReadable(() => {
      const chunk = end.receive(4096);
      if (chunk === 'again') return;
      if (chunk === 'eof') {
        got.ended = true;
        end.pauseReading();
        return;
      }
      got.bytes = Buffer.concat([got.bytes, chunk.bytes]);
      got.fds.push(...chunk.fds);
    });
    far.send('SET_BACKEND_REQ_FD', { kind: 'none' }, [near], true);
    closeFd(near);
    await far.take(20);
    return { far, got, end };
  }

  const iotlb = specByName('BACKEND_IOTLB_MSG').id;

  test('goes whole, is recorded, and its answer too', async () => {
    const { far, got, end } = await channel();
    far.session.misbehave({ request: { ...usual, send: 'BACKEND_IOTLB_MSG', needReply: true, offset: 4096 } });
    await expect.poll(() => got.bytes.length).toBe(HEADER_SIZE + 32);
    expect(got.bytes.readUInt32LE(0)).toBe(iotlb);
    expect(got.bytes.readUInt32LE(4)).toBe(VERSION | FLAG_NEED_REPLY);
    expect(got.bytes.readBigUInt64LE(12)).toBe(4096n);
    expect(replies(far.recorder).at(-1)).toMatchObject({ channel: 'backend', name: 'BACKEND_IOTLB_MSG' });
    const [fault] = faults(far.recorder);
    expect(fault).toMatchObject({ fault: 'request', spoils: 'channel' });
    expect(fault).not.toHaveProperty('half');
    end.send(encodeMessage({ request: iotlb, flags: VERSION | FLAG_REPLY, payload: Buffer.alloc(8) }));
    expect(await seen(far.recorder, 'wire.backend-recv')).toMatchObject({ name: 'BACKEND_IOTLB_MSG' });
  });

  test('an unknown number goes too, and descriptors go with any', async () => {
    const { far, got } = await channel();
    const before = await ownFds();
    far.session.misbehave({ request: { ...usual, send: 99, fds: ['eventfd', 'page'] } });
    await expect.poll(() => got.fds.length).toBe(2);
    expect(got.bytes.readUInt32LE(0)).toBe(99);
    expect(await ownFds()).toBe(before + 2);
    expect(replies(far.recorder).at(-1)).toMatchObject({ channel: 'backend', name: '#99', fds: 2 });
  });

  test('a host notifier has the area that is asked for', async () => {
    const { far, got } = await channel();
    const area = { send: 'BACKEND_VRING_HOST_NOTIFIER_MSG', queue: 3, length: 8192, offset: 4096 } as const;
    far.session.misbehave({ request: { ...usual, ...area, fds: ['page'] } });
    await expect.poll(() => got.bytes.length).toBe(HEADER_SIZE + 24);
    expect([0, 8, 16].map((at) => got.bytes.readBigUInt64LE(HEADER_SIZE + at))).toEqual([3n, 8192n, 4096n]);
    far.session.misbehave({ request: { ...usual, ...area } });
    await expect.poll(() => got.bytes.length).toBe(2 * (HEADER_SIZE + 24));
    // Without a descriptor its bit says so.
    expect(got.bytes.readBigUInt64LE(HEADER_SIZE + 24 + HEADER_SIZE)).toBe(0x103n);
  });

  test('is cut, and the session keeps QEMU waiting until it ends', async () => {
    const { far, got } = await channel();
    far.session.misbehave({ request: { ...usual, send: 'BACKEND_IOTLB_MSG', cut: 5 } });
    await expect.poll(() => got.bytes.length).toBe(5);
    expect(faults(far.recorder)).toMatchObject([{ half: true, spoils: 'channel' }]);
    expect(replies(far.recorder).filter(({ channel }) => channel === 'backend')).toEqual([]);
    expect(far.session.keepsWaiting).toBe(true);
    far.session.leave('close');
    expect(far.session.keepsWaiting).toBe(false);
    await expect.poll(() => got.ended).toBe(true);
  });

  test('lies about its size', async () => {
    const { far, got } = await channel();
    far.session.misbehave({ request: { ...usual, send: 'BACKEND_IOTLB_MSG', size: 0xffff_ffff } });
    await expect.poll(() => got.bytes.length).toBe(HEADER_SIZE + 32);
    expect(got.bytes.readUInt32LE(8)).toBe(0xffff_ffff);
    expect(faults(far.recorder)).toMatchObject([{ half: true, announces: 0xffff_ffff }]);
  });

  test('the channel is closed and the session goes on', async () => {
    const { far, got } = await channel();
    far.session.misbehave({ request: { ...usual, close: true } });
    await expect.poll(() => got.ended).toBe(true);
    expect(far.recorder.latest('wire.backend-close')).toMatchObject({ session: 1, by: 'peer' });
    expect(far.session.open).toBe(true);
    expect(() => far.session.misbehave({ request: { ...usual, send: 99 } })).toThrow(
      expect.objectContaining({ code: 'ERR_NO_CHANNEL' }),
    );
  });

  test('that QEMU closed the channel is told', async () => {
    const { far, end } = await channel();
    end.close();
    expect(await seen(far.recorder, 'wire.backend-close')).toMatchObject({ by: 'front-end' });
    expect(far.session.open).toBe(true);
  });

  test('the session is closed in the same breath', async () => {
    const { far, got } = await channel();
    far.session.misbehave({ request: { ...usual, send: 'BACKEND_CONFIG_CHANGE_MSG', leave: true } });
    expect(far.session.open).toBe(false);
    expect(await far.end()).toBe('eof');
    expect(got.bytes.length).toBe(HEADER_SIZE);
  });

  test('while the answer to a message is due: ahead of it', async () => {
    const { far, got } = await channel({ request: { ...usual, send: 'BACKEND_IOTLB_MSG', at: 'GET_FEATURES' } });
    expect(got.bytes.length).toBe(0);
    far.send('GET_FEATURES');
    await far.take(20);
    await expect.poll(() => got.bytes.length).toBe(HEADER_SIZE + 32);
    const order = far.recorder.events.filter(({ type }) => type === 'wire.send' || type === 'peer.fault');
    expect(order.slice(-3)).toMatchObject([{ type: 'peer.fault' }, { channel: 'backend' }, { channel: 'reply' }]);
  });

  test('without a channel nothing can be sent', () => {
    const far = bare({});
    expect(() => far.session.misbehave({ request: { ...usual, send: 99 } })).toThrow(
      expect.objectContaining({ code: 'ERR_NO_CHANNEL' }),
    );
    expect(faults(far.recorder)).toEqual([]);
  });
});

/** What the schema fills in. */
const usual = {
  needReply: false,
  queue: 0,
  length: 4096,
  offset: 0,
  fds: [] as ('eventfd' | 'page')[],
  close: false,
  leave: false,
};
