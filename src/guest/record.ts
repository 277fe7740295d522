import type { Recording } from '../timeline/index.js';
import { GuestConsole, type GuestFact } from './console.js';

/** Lines of trouble that are recorded; a kernel that complains without end must not fill the timeline. */
const MAX_TROUBLES = 1000;

/** A NIC as the kernel names it. */
const NIC = /\beth\d+\b/;

/** Where what is told of one NIC is recorded, such as eth0; undefined: nowhere. */
export type NicRecording = (nic: string) => Pick<Recording, 'record'> | undefined;

/**
 * Records what a guest's console tells, as it comes: guest.ready, guest.ping, guest.carrier, guest.trouble. A carrier that came
 * and went between two looks of the guest is recorded both ways.
 * @param onFact told every fact besides, also those that are no events
 * @param ofNic takes pings, carriers and what the kernel says of a NIC, where not all goes to the same
 * @returns resolves when the console is closed
 */
export function recordGuest(
  console: NodeJS.ReadableStream,
  recorder: Pick<Recording, 'record'>,
  onFact: (fact: GuestFact) => void = () => {},
  ofNic: NicRecording = () => recorder,
): Promise<void> {
  const facts = new FactRecorder(recorder, ofNic);
  const reader = new GuestConsole((fact) => {
    facts.take(fact);
    onFact(fact);
  });
  console.on('data', (bytes: Buffer) => reader.feed(bytes));
  return new Promise((resolve) =>
    console.once('close', () => {
      reader.end();
      resolve();
    }),
  );
}

type Carrier = Extract<GuestFact, { kind: 'carrier' }>;

/** Makes events of facts. */
class FactRecorder {
  readonly #recorder: Pick<Recording, 'record'>;
  readonly #ofNic: NicRecording;
  readonly #carriers = new Map<string, Carrier>();
  #troubles = 0;
  /** The highest epoch so far, and that of the starts of the guest before: each counts from 1. */
  #epoch = 0;
  #epochsBefore = 0;

  constructor(recorder: Pick<Recording, 'record'>, ofNic: NicRecording) {
    this.#recorder = recorder;
    this.#ofNic = ofNic;
  }

  take(fact: GuestFact): void {
    switch (fact.kind) {
      case 'boot':
        this.#carriers.clear();
        this.#epochsBefore = this.#epoch;
        break;
      case 'ready':
        this.#recorder.record({ type: 'guest.ready' });
        break;
      case 'ping': {
        const { nic, seq, ms } = fact;
        const epoch = this.#epochsBefore + fact.epoch;
        this.#epoch = Math.max(this.#epoch, epoch);
        this.#ofNic(nic)?.record({ type: 'guest.ping', nic, epoch, number: seq, latency: ms });
        break;
      }
      case 'carrier':
        this.#carrier(fact);
        break;
      case 'trouble':
        this.#troubles++;
        if (this.#troubles <= MAX_TROUBLES) this.#trouble(fact);
    }
  }

  /** A queue that does not send is the business of its own back-end. */
  #trouble({ what, line }: Extract<GuestFact, { kind: 'trouble' }>): void {
    const nic = NIC.exec(line)?.[0];
    const recorder = (nic && this.#ofNic(nic)) || this.#recorder;
    recorder.record({ type: 'guest.trouble', what, line });
  }

  #carrier(fact: Carrier): void {
    const { nic, up } = fact;
    const before = this.#carriers.get(nic);
    this.#carriers.set(nic, fact);
    // A device that was added anew counts from the beginning, and what it was when nobody had set it yet counts as well.
    const counted = before ? Math.max(0, fact.ups - before.ups + fact.downs - before.downs) : 0;
    // It alternates, and is what it is now in the end.
    const changes = before?.up === up ? 2 * Math.floor(counted / 2) : 2 * Math.floor(Math.max(0, counted - 1) / 2) + 1;
    for (let left = changes; left > 0; left--)
      this.#ofNic(nic)?.record({ type: 'guest.carrier', nic, up: left % 2 === 1 ? up : !up });
  }
}
