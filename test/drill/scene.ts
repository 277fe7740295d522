import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { registry } from '../../src/contract/index.js';
import {
  ControlServer,
  Drill,
  DrillError,
  type DrillOptions,
  judgeFile,
  type Listen,
  type Spawn,
} from '../../src/drill/index.js';
import { guestFiles } from '../../src/guest/index.js';
import { DEFAULT_PROFILE, profiles } from '../../src/peer/index.js';
import { findQemu, probe } from '../../src/qemu/index.js';
import { HtmlReporter } from '../../src/report/index.js';
import type { Event, EventOf, EventType } from '../../src/timeline/index.js';
import { guestFolder } from '../guest/bench.js';

/** Far beyond what a slow machine needs. */
export const DEADLINE_MS = 120_000;

/** A folder that is gone after the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'vr-drill-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** What is needed to spawn a QEMU that halts, or one with a guest. */
export async function spawned({ guest = false, ports = 1 }: { guest?: boolean; ports?: number } = {}): Promise<Spawn> {
  const facts = await probe(await findQemu());
  return {
    facts,
    machine: 'q35',
    accel: 'auto',
    queuePairs: 1,
    reconnectMs: 1000,
    ports,
    ...(guest && { guest: guestFiles(guestFolder()) }),
  };
}

/** A drill that ends with the test. */
export async function drill(options: Partial<DrillOptions> = {}): Promise<Drill> {
  const begun = await Drill.begin({
    role: 'client',
    sockets: [],
    profile: profiles[DEFAULT_PROFILE]!,
    out: folder(),
    dhcp: false,
    captureBytes: 1 << 20,
    replace: false,
    tester: { name: 'vhost-reconnect', version: '0.0.0' },
    command: 'vhost-reconnect drill',
    variant: (id) => {
      throw new DrillError('ERR_PARAMETERS', `there is no variant ${id}`);
    },
    judge: judgeFile,
    ...options,
  });
  onTestFinished(() => begun.stop());
  return begun;
}

/** A control server that ends with the test. */
export async function served(of: Drill, listen: Listen = { host: '127.0.0.1', port: 0 }): Promise<ControlServer> {
  const server = await ControlServer.begin({
    drill: of,
    listen,
    tester: 'test',
    report: async () => {
      // As the command does it: beside the timelines.
      const out = dirname(dirname(of.ports[0]!.writer.file));
      await new HtmlReporter(registry, (file) => of.judged(file)).onEnd(await of.interim(), out);
      return join(out, 'report.html');
    },
  });
  onTestFinished(() => server.close());
  return server;
}

/** The first event of a type on a port from now on, or that was there already, for which `test` holds. */
export function happened<T extends EventType>(
  of: Drill,
  type: T,
  test: (event: EventOf<T>) => boolean = () => true,
  port = 0,
): Promise<EventOf<T>> {
  const wanted = (event: Event): event is EventOf<T> => event.type === type && test(event as EventOf<T>);
  const { name, recorder } = of.ports[port]!;
  return new Promise((resolve, reject) => {
    const there = recorder.events.find(wanted);
    if (there) return resolve(there as EventOf<T>);
    const timer = setTimeout(
      () => reject(new Error(`no ${type}: ${JSON.stringify(of.state(), null, 1)}`)),
      DEADLINE_MS,
    );
    const end = of.listen((at, event) => {
      if (at.name !== name || !wanted(event)) return;
      clearTimeout(timer);
      end();
      resolve(event);
    });
    return undefined;
  });
}
