import { onTestFinished } from 'vitest';
import { FdSocket, socketPair } from '../../src/os/index.js';
import { CutWatch } from '../../src/peer/cut.js';
import {
  type Cut,
  DEFAULT_PROFILE,
  PeerTraffic,
  type Profile,
  profiles,
  Session,
  type SessionFault,
  type Traffic,
} from '../../src/peer/index.js';
import { type EventOf, type EventType, Recorder } from '../../src/timeline/index.js';
import { FrontEnd } from './front-end.js';

export const profile: Profile = profiles[DEFAULT_PROFILE]!;

/** Resolves with the first event of a type that satisfies `test`, recorded already or later. */
export function seen<T extends EventType>(
  recorder: Recorder,
  type: T,
  test: (event: EventOf<T>) => boolean = () => true,
): Promise<EventOf<T>> {
  const past = recorder.timeline().first(type, test);
  if (past) return Promise.resolve(past);
  return new Promise((resolve) => {
    const unlisten = recorder.listen((event) => {
      if (event.type !== type || !test(event as EventOf<T>)) return;
      unlisten();
      resolve(event as EventOf<T>);
    });
  });
}

export interface Rig<T extends Traffic = PeerTraffic> {
  recorder: Recorder;
  traffic: T;
  session: Session;
  frontEnd: FrontEnd;
  /** The end of the session as recorded. */
  closed(): Promise<EventOf<'session.close'>>;
  close(): void;
}

export interface RigOptions<T extends Traffic = PeerTraffic> {
  profile?: Profile;
  fault?: SessionFault;
  recorder?: Recorder;
  traffic?: T;
  number?: number;
  cut?: Cut;
  onCut?(): void;
}

/** A session over a socket pair with a scripted front-end at the other end. The caller closes it. */
export function makeRig<T extends Traffic = PeerTraffic>(options: RigOptions<T> = {}): Rig<T> {
  const recorder = options.recorder ?? new Recorder();
  const traffic = options.traffic ?? (new PeerTraffic(recorder) as Traffic as T);
  const number = options.number ?? 1;
  const [ours, theirs] = socketPair();
  const watch = options.cut && new CutWatch(options.cut);
  const session = new Session({
    socket: FdSocket.fromFd(ours),
    number,
    profile: options.profile ?? profile,
    recorder,
    traffic,
    fault: options.fault ?? {},
    cut: () => watch,
    ...(options.onCut && { onCut: options.onCut }),
    onClose: () => {},
  });
  const frontEnd = new FrontEnd(FdSocket.fromFd(theirs));
  return {
    recorder,
    traffic,
    session,
    frontEnd,
    closed: () => seen(recorder, 'session.close', (event) => event.session === number),
    close() {
      session.leave('close');
      frontEnd.close();
    },
  };
}

/** The same, closed with the test. */
export function rig<T extends Traffic = PeerTraffic>(options: RigOptions<T> = {}): Rig<T> {
  const made = makeRig(options);
  onTestFinished(() => made.close());
  return made;
}
