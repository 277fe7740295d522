import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { closeFd, EventFd, FdSocket, MappedRegion, memfd } from '../../src/os/index.js';
import { directory, ownFds, readable, Server } from './helpers.js';

const SESSIONS = 1000;

/**
 * One session: memory, kick and call go over, the ring is kicked and called, and either side ends it in one of the ways
 * there are.
 */
async function session(server: Server, path: string, number: number): Promise<void> {
  const [frontEnd, peer] = await Promise.all([FdSocket.dial(path), server.accept()]);
  const memory = memfd('guest', 16384);
  const [kick, call] = [EventFd.create(), EventFd.create()];
  frontEnd.send(Buffer.from('table'), [memory, kick.fd, call.fd]);
  closeFd(memory);

  await readable(peer);
  const received = peer.receive(5);
  if (typeof received === 'string') throw new Error(received);
  const [memoryFd, kickFd, callFd] = received.fds as [number, number, number];
  const region = MappedRegion.map(memoryFd, { size: 16384 });
  closeFd(memoryFd);
  const [ourKick, ourCall] = [EventFd.adopt(kickFd), EventFd.adopt(callFd)];
  const called = new Promise((resolve) => call.onSignal(resolve));
  ourKick.onSignal(() => {
    region.writeU16(0, number);
    ourCall.signal();
  });
  kick.signal();
  await called;
  expect(region.readU16(0)).toBe(number);

  peer.send(Buffer.from('reply'), [ourCall.fd]);
  await readable(frontEnd);
  if (number % 2 === 0) {
    const reply = frontEnd.receive(5);
    if (typeof reply !== 'string') reply.fds.forEach(closeFd);
  }
  // An odd session leaves the reply unread, with a descriptor in flight.
  frontEnd.close();
  await readable(peer);
  if (number % 2 === 0) expect(peer.receive(1)).toBe('eof');
  else expect(() => peer.receive(1)).toThrow(expect.objectContaining({ code: 'ECONNRESET' }));
  peer.close();
  region.unmap();
  for (const event of [kick, call, ourKick, ourCall]) event.close();
}

test(`${SESSIONS} sessions leave no descriptor behind`, async () => {
  const path = join(directory(), 's');
  let server = await Server.listen(path);
  await session(server, path, 0);
  const before = await ownFds();
  for (let number = 1; number <= SESSIONS; number++) {
    await session(server, path, number);
    if (number % 50 === 0) {
      await server.close();
      if (number % 100 === 0) unlinkSync(path);
      server = await Server.listen(path, { replace: true });
    }
  }
  expect(await ownFds()).toBe(before);
});
