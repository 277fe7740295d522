import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Drill, DrillError, storeRecord } from '../../src/drill/index.js';
import { listenUnix } from '../../src/os/index.js';
import { DEFAULT_PROFILE } from '../../src/peer/index.js';
import { commandLine, findQemu, haltBios, launch, probe } from '../../src/qemu/index.js';
import { readRun } from '../../src/runner/index.js';
import { Recorder, readTimeline } from '../../src/timeline/index.js';
import { DEADLINE_MS, drill, folder, happened, spawned } from './scene.js';

const verdictOf = (result: Awaited<ReturnType<Drill['finish']>>, id: string) =>
  result.variants[0]!.requirements.find(({ requirement }) => requirement === id)!.judgement;

describe('a spawned QEMU', () => {
  it(
    'is left and returned to on command, and the record is a run',
    async () => {
      const out = folder();
      const live = await drill({ spawn: await spawned(), out });
      await happened(live, 'qmp.ready');
      await live.perform('await', 'ready');
      expect(live.state()).toMatchObject({
        vm: { state: 'running' },
        ports: { p0: { chardev: 'CONNECTED', peer: 'connected' } },
      });

      await live.perform('down', {});
      await happened(live, 'chardev.state', ({ connected, t }) => !connected && t > 0);
      expect(live.state().ports.p0).toMatchObject({ chardev: 'DISCONNECTED', peer: 'away', restartCount: 1 });
      await live.perform('up', {});
      await live.perform('await', 'ready');
      await live.perform('note', { text: 'it came back' });
      expect(live.state().ports.p0!.restarts[0]).toMatchObject({ number: 1, how: 'close', backMs: expect.any(Number) });

      const result = await live.finish();
      await storeRecord(result, out);
      expect(result).toMatchObject({ exitCode: 0, variants: [{ verdict: 'pass', case: 'drill' }] });
      expect(verdictOf(result, 'R1')).toMatchObject({ outcome: 'hold' });
      expect(verdictOf(result, 'R4')).toMatchObject({ outcome: 'hold' });
      // As any stored run is read, for show, judge, bundle and compare.
      expect((await readRun(out)).result.variants).toHaveLength(1);
      const timeline = await readTimeline(join(out, result.variants[0]!.timeline!));
      expect(timeline.all('drill.note')).toMatchObject([{ text: 'it came back' }]);
      expect(readFileSync(join(out, 'p0.messages.txt'), 'utf8')).toContain('SET_OWNER');
      for (const name of ['report.html', 'junit.xml', 'p0.pcapng'])
        expect(existsSync(join(out, name)), name).toBe(true);
      // Nothing is left of the QEMU.
      expect(existsSync(live.ports[0]!.socket)).toBe(false);
    },
    DEADLINE_MS,
  );

  it(
    'that dies is told as a crash, with its evidence, and judged as one',
    async () => {
      const live = await drill({ spawn: await spawned(), role: 'server' });
      await happened(live, 'qmp.ready');
      process.kill(live.state().vm.pid!, 'SIGABRT');
      await happened(live, 'qemu.post-mortem');
      const { vm } = live.state();
      expect(vm).toMatchObject({ state: 'gone', exit: { signal: 'SIGABRT' } });
      expect(vm.evidence!.length).toBeGreaterThan(0);
      expect(await live.finish()).toMatchObject({ exitCode: 3, variants: [{ verdict: 'fail', kind: 'crash' }] });
    },
    DEADLINE_MS,
  );

  it.each(['server', 'client'] as const)(
    'shows as what the peer came back, in role %s',
    async (role) => {
      const live = await drill({ spawn: await spawned(), role });
      await live.perform('await', 'ready');
      const profile = () => live.state().ports.p0!.profile;
      expect(profile()).toBe(DEFAULT_PROFILE);
      await live.perform('restart', { away: 0, back: { profile: 'testpmd-22.11' } });
      expect(profile()).toBe('testpmd-22.11');
      await live.perform('down', {});
      await live.perform('up', { back: { profile: 'ovs-dpdk-3.5' } });
      expect(profile()).toBe('ovs-dpdk-3.5');
      await live.perform('restart', { away: 0, back: 'original' });
      expect(profile()).toBe(DEFAULT_PROFILE);
      await live.perform('profile', { name: 'ovs-dpdk-4.0' });
      expect(profile()).toBe('ovs-dpdk-4.0');
    },
    DEADLINE_MS,
  );

  it(
    'lives through a peer that hangs',
    async () => {
      const live = await drill({ spawn: await spawned() });
      await live.perform('await', 'ready');
      await live.perform('stall');
      expect(live.state().ports.p0).toMatchObject({ peer: 'frozen' });
      await expect(live.perform('stall')).rejects.toMatchObject({ code: 'ERR_STEP' });
      await live.perform('resume');
      expect(live.state().ports.p0).toMatchObject({ peer: 'connected' });
      await expect(live.perform('resume')).rejects.toMatchObject({ code: 'ERR_STEP' });
    },
    DEADLINE_MS,
  );

  it(
    'refuses what makes no sense, and goes on',
    async () => {
      const live = await drill({ spawn: await spawned() });
      await live.perform('await', 'ready');
      await expect(live.perform('restrat')).rejects.toMatchObject({
        code: 'ERR_VERB',
        hint: expect.stringContaining('restart'),
      });
      await expect(live.perform('restart', { away: 'soon' })).rejects.toMatchObject({ code: 'ERR_PARAMETERS' });
      await expect(live.perform('down', {}, 'p7')).rejects.toMatchObject({ code: 'ERR_PORT' });
      await expect(live.perform('run', { variant: 'x' })).rejects.toMatchObject({ code: 'ERR_PARAMETERS' });
      await expect(live.perform('traffic')).rejects.toMatchObject({ code: 'ERR_STEP' });
      // One thing at a time at a port; what waits can be given up.
      const down = live.perform('restart', { away: 60_000 });
      await happened(live, 'session.close');
      await expect(live.perform('down', {})).rejects.toMatchObject({ code: 'ERR_BUSY' });
      await live.perform('stop');
      await expect(down).rejects.toMatchObject({
        code: 'ERR_STEP',
        message: expect.stringContaining('stopped by the operator'),
      });
      await live.perform('up', {});
      await live.perform('await', 'ready');
    },
    DEADLINE_MS,
  );

  it(
    'has several ports, none of which is blamed for what another one’s back-end does',
    async () => {
      const out = folder();
      const live = await drill({ spawn: await spawned({ ports: 2 }), out });
      await live.perform('await', 'ready');
      // QEMU waits for p1 in the handshake, and answers nobody.
      await live.perform('restart', { away: 0, back: { silent: true } }, 'p1');
      // Not a silence of before it came back: that is this machine's.
      const fault = await happened(live, 'peer.fault', () => true, 1);
      await happened(live, 'qmp.silent', ({ t }) => t > fault.t);
      await live.perform('down', {}, 'p1');
      await happened(live, 'qmp.heartbeat', ({ latency, t }) => latency > 900 && t > fault.t);
      // Each fails to dial, and QEMU says so of each.
      const failed = (port: number) => happened(live, 'qemu.stderr', ({ line }) => line.includes(`c${port}:`), port);
      await live.perform('down', {}, 'p0');
      await Promise.all([failed(0), failed(1)]);
      await live.perform('up');
      await live.perform('await', 'ready');

      const result = await live.finish();
      for (const { variant, verdict, requirements } of result.variants) {
        const broken = requirements.filter(({ judgement }) => judgement.outcome === 'break');
        expect(broken, variant).toEqual([]);
        expect(verdict).toBe('pass');
      }
      const timeline = await readTimeline(join(out, result.variants[0]!.timeline!));
      expect(timeline.all('peer.other').map(({ state }) => state)).toContain('owing');
      expect(timeline.all('qemu.stderr').filter(({ line }) => line.includes('c1:'))).toEqual([]);
    },
    DEADLINE_MS,
  );

  it(
    'has a guest, whose outage and loss are measured',
    async () => {
      const live = await drill({ spawn: await spawned({ guest: true }) });
      await happened(live, 'guest.ping');
      await live.perform('restart', { away: 2000 });
      await live.perform('await', 'ready');
      await live.perform('traffic');
      const [restart] = live.state().ports.p0!.restarts;
      // The peer was away for two seconds, in which ten pings a second were lost.
      expect(restart!.backMs).toBeGreaterThanOrEqual(2000);
      expect(restart!.ringsMs).toBeGreaterThanOrEqual(restart!.backMs!);
      await happened(live, 'guest.ping', ({ t }) => t > restart!.at + restart!.ringsMs!);
      // The guest tells of its carrier by itself, before or after the ping.
      const down = await happened(live, 'guest.carrier', ({ up, t }) => !up && t > restart!.at);
      await happened(live, 'guest.carrier', ({ up, t }) => up && t > down.t);
      const pings = live.ports[0]!.recorder.events.filter((event) => event.type === 'guest.ping');
      const before = pings.findLast(({ t }) => t <= restart!.at)!;
      const after = pings.find(({ t }) => t >= restart!.at + restart!.backMs!)!;
      const { outageMs, lost } = live.state().ports.p0!.restarts[0]!;
      expect(outageMs).toBeCloseTo(after.t - before.t);
      expect(outageMs).toBeGreaterThanOrEqual(2000);
      // An outage so long that the guest's ping gave up and began anew leaves no number to count from.
      expect(lost).toBe(after.epoch === before.epoch ? after.number - before.number - 1 : undefined);
      expect(lost).not.toBe(0);
      const result = await live.finish();
      expect(result.variants[0], JSON.stringify(result.variants[0]!.reason)).toMatchObject({ verdict: 'pass' });
      expect(verdictOf(result, 'R20')).toMatchObject({ outcome: 'hold' });
    },
    2 * DEADLINE_MS,
  );

  it(
    'has several ports, of which one is restarted and the others’ pings go on',
    async () => {
      const live = await drill({ spawn: await spawned({ guest: true, ports: 2 }) });
      const [p0, p1] = live.ports.map(({ recorder }) => recorder);
      const nics = (recorder: typeof p0) => [
        ...new Set(
          recorder!.events.flatMap((event) =>
            event.type === 'guest.ping' || event.type === 'guest.carrier' ? [event.nic] : [],
          ),
        ),
      ];
      await Promise.all([happened(live, 'guest.ping'), happened(live, 'guest.ping', () => true, 1)]);
      await live.perform('down', {}, 'p1');
      const gone = p1!.events.find(({ type }) => type === 'session.close')!;
      // The other port's pings are answered while this one is away, and its carrier never went.
      const before = p0!.latest('guest.ping')!.number;
      await happened(live, 'guest.ping', ({ number }) => number > before + 5);
      expect(live.state().ports).toMatchObject({
        p0: { restartCount: 0, session: 1, link: 'up' },
        p1: { restartCount: 1, peer: 'away' },
      });
      await live.perform('up', {}, 'p1');
      await live.perform('await', 'ready', 'p1');
      await live.perform('traffic', {}, 'p1');
      expect(live.state().ports).toMatchObject({ p0: { session: 1 }, p1: { session: 2 } });
      const left = (recorder: typeof p0) =>
        recorder!.events.some((event) => event.type === 'guest.carrier' && !event.up && event.t > gone.t);
      expect([left(p0), left(p1)]).toEqual([false, true]);
      expect([nics(p0), nics(p1)]).toEqual([['eth0'], ['eth1']]);
      // Each chardev says of itself what its own connection is.
      const said = (recorder: typeof p0) =>
        recorder!.events.some((event) => event.type === 'chardev.state' && !event.connected && event.t > gone.t);
      expect([said(p0), said(p1)]).toEqual([false, true]);
      const { variants } = await live.finish();
      expect(variants.map(({ variant, verdict, reason }) => [variant, verdict, reason])).toEqual([
        ['drill[port=p0]', 'pass', undefined],
        ['drill[port=p1]', 'pass', undefined],
      ]);
    },
    2 * DEADLINE_MS,
  );
});

/** A QEMU that an operator started, with a monitor that listens. */
async function operatorsQemu(role: 'server' | 'client', socket: string, extra: readonly string[] = []) {
  const dir = folder();
  const facts = await probe(await findQemu());
  writeFileSync(join(dir, 'bios'), haltBios());
  const recorder = new Recorder();
  const qemu = await launch({
    path: facts.path,
    argv: commandLine({
      facts,
      role,
      machine: 'q35',
      accel: 'auto',
      queuePairs: 2,
      ring: 'split',
      memory: 64 << 20,
      reconnectMs: 1000,
      socketPath: socket,
      qmpPath: join(dir, 'qmp'),
      qtestPath: join(dir, 'qtest'),
      biosPath: join(dir, 'bios'),
      extra,
    }),
    cwd: dir,
    qmpPath: join(dir, 'qmp'),
    qtestPath: join(dir, 'qtest'),
    recorder,
  });
  onTestFinished(() => qemu.dispose());
  return { qemu, recorder };
}

/** A drill with such a QEMU, which is asked by its monitor and has answered. */
async function monitored() {
  const dir = folder();
  const socket = join(dir, 'vhost.sock');
  const monitor = join(dir, 'monitor.sock');
  const live = await drill({ sockets: [socket], monitor: { qmp: monitor } });
  const { qemu } = await operatorsQemu('client', socket, ['-qmp', `unix:${monitor},server=on,wait=off`]);
  await happened(live, 'qmp.ready');
  return { live, qemu };
}

describe('an operator’s QEMU', () => {
  it(
    'is in the record by what it is, also of a drill that ends before that is known',
    async () => {
      const socket = join(folder(), 'vhost.sock');
      const live = await drill({ sockets: [socket] });
      const ended = happened(live, 'session.open').then(() => {
        // Its version is still being asked, of another process.
        expect(live.ports[0]!.identified).toBe(false);
        return live.finish();
      });
      const [result] = await Promise.all([ended, operatorsQemu('client', socket)]);
      expect(result.qemu.version).toMatch(/^[1-9]\d*\.\d+\.\d+$/);
      expect(result.variants[0]).toMatchObject({ machine: expect.stringContaining('q35') });
    },
    DEADLINE_MS,
  );

  it.each(['server', 'client'] as const)(
    'in role %s is found by its command line and only looked at',
    async (role) => {
      const dir = folder();
      const socket = join(dir, 'vhost.sock');
      const monitor = join(dir, 'monitor.sock');
      const extra = ['-qmp', `unix:${monitor},server=on,wait=off`];
      const begin = () => drill({ role, sockets: [socket], monitor: { qmp: monitor } });
      // A QEMU that dials needs the peer first, or waits for its retry; one that listens is there before.
      const early = role === 'server' ? await operatorsQemu(role, socket, extra) : undefined;
      const live = await begin();
      const { qemu, recorder } = early ?? (await operatorsQemu(role, socket, extra));
      await happened(live, 'qmp.ready');
      await live.perform('await', 'ready');
      await happened(live, 'chardev.state', ({ means, connected }) => means === 'qom' && connected);
      await live.perform('restart', { away: 200 });
      await live.perform('await', 'ready');
      // It is asked for its version beside all this.
      await expect.poll(() => live.state().vm.version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(live.state().vm).toMatchObject({ state: 'running', pid: qemu.pid });
      const result = await live.finish();
      expect(result.variants[0], JSON.stringify(result.variants[0]!.reason)).toMatchObject({
        verdict: 'pass',
        machine: expect.stringContaining('q35'),
      });
      const timeline = await readTimeline(live.ports[0]!.writer.file);
      expect(timeline.context).toMatchObject({
        queuePairs: 2,
        reconnectMs: role === 'client' ? 1000 : 0,
        driver: 'guest',
        joined: true,
      });
      // It was left as it was: running, and not asked to do anything.
      expect(recorder.latest('qemu.exit')).toBeUndefined();
      expect(timeline.all('qmp.command').map(({ execute }) => execute)).toEqual([]);
    },
    DEADLINE_MS,
  );

  it(
    'that is killed is told as gone, and as a crash',
    async () => {
      const { live, qemu } = await monitored();
      process.kill(qemu.pid, 'SIGKILL');
      await happened(live, 'qemu.exit');
      expect(live.state().vm).toMatchObject({ state: 'gone', exit: { code: null, signal: null } });
      expect(await live.finish()).toMatchObject({ variants: [{ verdict: 'fail', kind: 'crash' }] });
    },
    DEADLINE_MS,
  );

  it(
    'that is shut down in order did not crash',
    async () => {
      const { live, qemu } = await monitored();
      qemu.quit();
      expect(await happened(live, 'qemu.exit')).toMatchObject({ asked: 'quit' });
      expect((await live.finish()).variants[0]!.kind).not.toBe('crash');
    },
    DEADLINE_MS,
  );

  it(
    'whose monitor is lost is dialled again while it lives',
    async () => {
      const dir = folder();
      const socket = join(dir, 'vhost.sock');
      const path = join(dir, 'monitor.sock');
      const relayed = join(dir, 'relayed.sock');
      const live = await drill({ sockets: [socket], monitor: { qmp: relayed } });
      const { qemu } = await operatorsQemu('client', socket, ['-qmp', `unix:${path},server=on,wait=off`]);
      const ends: Socket[] = [];
      const relay = createServer((near) => {
        const far = connect(path);
        near.on('error', () => far.destroy());
        // A QEMU that just starts has no monitor yet: who dials it by this hears so, and dials again.
        far.on('error', () => near.destroy());
        near.pipe(far).pipe(near);
        ends.push(near, far);
      }).listen(relayed);
      onTestFinished(() => {
        for (const end of ends) end.destroy();
        relay.close();
      });
      await happened(live, 'qmp.heartbeat');
      for (const end of ends.splice(0)) end.destroy();
      const lost = await happened(live, 'qmp.lost');
      expect(live.state().vm).toMatchObject({ state: 'running', how: expect.stringContaining('lost') });
      await happened(live, 'qmp.heartbeat', ({ seq }) => seq > lost.seq);
      expect(live.state().vm).toMatchObject({ how: `QMP ${relayed}`, runState: 'running' });
      expect(await live.perform('qmp', { execute: 'query-status' })).toMatchObject({ status: 'running' });
      // A process that is gone is not dialled.
      process.kill(qemu.pid, 'SIGKILL');
      await happened(live, 'qemu.exit');
      expect(live.ports[0]!.recorder.events.filter(({ type }) => type === 'tester.trouble')).toEqual([]);
    },
    DEADLINE_MS,
  );

  it(
    'without a monitor is seen from its socket, and what is not known is told',
    async () => {
      const socket = join(folder(), 'vhost.sock');
      const live = await drill({ sockets: [socket] });
      expect(live.unknown.join(' ')).toMatch(/Without a monitor/);
      const { qemu } = await operatorsQemu('client', socket);
      await live.perform('await', 'handshake');
      expect(live.state().vm).toMatchObject({ state: 'running', pid: qemu.pid, how: 'no monitor' });
      await expect(live.perform('qmp', { execute: 'stop' })).rejects.toMatchObject({ code: 'ERR_STEP' });
    },
    DEADLINE_MS,
  );
});

it('does not take the path of a switch that is there', async () => {
  const socket = join(folder(), 'vhost.sock');
  const listener = await listenUnix(socket, (accepted) => accepted.close());
  const out = folder();
  await expect(drill({ sockets: [socket], out })).rejects.toThrow(DrillError);
  await listener.close();
  // A stale path is anybody's.
  const live = await drill({ sockets: [socket] });
  expect(live.state().ports.p0).toMatchObject({ peer: 'waiting' });
  await live.stop();
  expect(readdirSync(join(socket, '..'))).toEqual([]);
});

describe('a record that cannot be written any more', () => {
  it(
    'is told once, and the switch serves on',
    async () => {
      const live = await drill({ spawn: await spawned() });
      await live.perform('await', 'ready');
      await happened(live, 'qmp.ready');
      const { writer, recorder } = live.ports[0]!;
      rmSync(writer.file);
      const trouble = await happened(live, 'tester.trouble');
      expect(trouble).toMatchObject({ what: expect.stringContaining(writer.file), hint: expect.any(String) });
      await live.perform('restart', { away: 0 });
      await live.perform('await', 'ready');
      expect(live.state()).toMatchObject({ vm: { state: 'running' }, ports: { p0: { chardev: 'CONNECTED' } } });
      // All that judges and exports goes on meanwhile, and has nothing to add.
      await expect(live.interim()).rejects.toMatchObject({ code: 'ERR_RECORD' });
      await expect(live.finish()).rejects.toMatchObject({ code: 'ERR_RECORD' });
      expect(live.incomplete).toMatchObject({ code: 'ERR_RECORD', message: trouble.what });
      expect(recorder.events.filter(({ type }) => type === 'tester.trouble')).toHaveLength(1);
      expect(recorder.latest('qemu.exit')).toMatchObject({ asked: 'quit', code: 0 });
    },
    DEADLINE_MS,
  );
});

it(
  'has one end, for which everybody waits who asks for it',
  async () => {
    const live = await drill({ spawn: await spawned() });
    await live.perform('await', 'ready');
    const exited = () => live.ports[0]!.recorder.latest('run.end') !== undefined;
    const first = live.stop();
    await live.stop();
    expect(exited()).toBe(true);
    await first;
  },
  DEADLINE_MS,
);
