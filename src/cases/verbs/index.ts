import { awaitEvent } from './await.js';
import { decoy } from './decoy.js';
import { descriptors } from './descriptors.js';
import { driver } from './driver.js';
import { flap } from './flap.js';
import { migrate } from './migrate.js';
import { misbehave } from './misbehave.js';
import { monitor } from './monitor.js';
import { peer } from './peer.js';
import { phase } from './phase.js';
import { plug } from './plug.js';
import { qmp } from './qmp.js';
import { quit } from './quit.js';
import { restart } from './restart.js';
import { resume } from './resume.js';
import { secondClient } from './second-client.js';
import { stay } from './stay.js';
import { storm } from './storm.js';
import { traffic } from './traffic.js';
import type { Verb } from './verb.js';

/** All step verbs, in the order that help lists them. */
export const verbs: readonly Verb[] = [
  peer,
  awaitEvent,
  traffic,
  restart,
  flap,
  storm,
  misbehave,
  resume,
  secondClient,
  decoy,
  phase,
  migrate,
  stay,
  driver,
  descriptors,
  qmp,
  plug,
  monitor,
  quit,
] as Verb[];
