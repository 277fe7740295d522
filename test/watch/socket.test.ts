import { chmodSync, rmSync, statSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FdSocket } from '../../src/os/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { SocketWatch } from '../../src/watch/index.js';
import { directory, Server } from '../os/helpers.js';

/** A recorder whose clock the test moves. */
class Clock extends Recorder {
  time = 0;
  override now(): number {
    return this.time;
  }
}

async function scene() {
  const path = join(directory(), 's');
  const recorder = new Clock();
  const watch = new SocketWatch(path, recorder);
  const server = await Server.listen(path);
  /** A connection that the listener accepted. */
  const connect = async () => {
    const [dialled, accepted] = await Promise.all([FdSocket.dial(path), server.accept()]);
    onTestFinished(() => {
      dialled.close();
      accepted.close();
    });
    return { dialled, accepted };
  };
  const at = (time: number, away = true) => {
    recorder.time = time;
    watch.sample(away);
  };
  return { path, recorder, watch, connect, at };
}

describe('the path', () => {
  test('is recorded at first sight and at each change', async () => {
    const { path, recorder, at } = await scene();
    at(0);
    at(1);
    rmSync(path);
    at(2);
    at(3);
    const again = await Server.listen(path);
    at(4);
    const { mode } = statSync(path);
    chmodSync(path, 0o400);
    at(5);
    await again.close();
    const seen = recorder.timeline().all('socket.path');
    expect(seen.map((e) => [e.t, e.inode !== undefined, e.mode])).toEqual([
      [0, true, mode & 0o777],
      [2, false, undefined],
      [4, true, mode & 0o777],
      [5, true, 0o400],
    ]);
  });

  test('that was never there is no event', () => {
    const recorder = new Clock();
    new SocketWatch(join(directory(), 'none'), recorder).sample(true);
    expect(recorder.events).toEqual([]);
  });

  test('says nothing while a decoy stands there', async () => {
    const { path, recorder, watch, at } = await scene();
    at(0);
    await rename(path, `${path}.aside`);
    watch.decoyed = true;
    const decoy = await Server.listen(path);
    at(10);
    const [dialled, accepted] = await Promise.all([FdSocket.dial(path), decoy.accept()]);
    at(1500);
    dialled.close();
    accepted.close();
    at(2000);
    await decoy.close();
    await rename(`${path}.aside`, path);
    watch.decoyed = false;
    at(2001);
    expect(recorder.timeline().all('socket.path')).toHaveLength(1);
    expect(recorder.latest('self-dial')).toBeUndefined();
  });
});

describe('a connection that nothing explains', () => {
  test('is recorded at every look while it stands, with when it was first seen', async () => {
    const { recorder, connect, at } = await scene();
    const dials = () =>
      recorder
        .timeline()
        .all('self-dial')
        .map(({ inodes, since }) => [inodes.length, since]);
    await connect();
    at(0);
    at(999);
    await connect();
    at(1200);
    expect(dials()).toEqual([
      [1, 0],
      [1, 0],
      [2, 0],
    ]);
  });

  test('is not recorded any more when it is gone', async () => {
    const { recorder, connect, at } = await scene();
    const { accepted } = await connect();
    at(0);
    accepted.close();
    await new Promise(setImmediate);
    at(1000);
    expect(recorder.timeline().all('self-dial')).toHaveLength(1);
  });

  test('is measured anew after a session was open', async () => {
    const { recorder, connect, at } = await scene();
    await connect();
    at(0);
    at(500, false);
    at(1200);
    expect(recorder.latest('self-dial')?.since).toBe(1200);
  });

  test('is none when it was explained before its session ended', async () => {
    const { recorder, watch, connect, at } = await scene();
    await connect();
    watch.explain();
    at(5000);
    expect(recorder.latest('self-dial')).toBeUndefined();
    await connect();
    at(5001);
    expect(recorder.latest('self-dial')?.inodes).toHaveLength(1);
  });
});
