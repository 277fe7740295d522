/** As OVS's mac-aging-time and mac-table-size are by default. */
const AGEING_MS = 300_000;
const SIZE = 8192;

/** Which port a station is behind, by its MAC as a 48-bit number. What is not heard of for 300 s, or longest of 8192, is forgotten. */
export class MacTable<Port> {
  /** Oldest first: who is heard goes to the end. */
  readonly #heard = new Map<number, { port: Port; at: number }>();

  get size(): number {
    return this.#heard.size;
  }

  /**
   * A frame came from there, at `now` in ms.
   * @returns where it was known to be before; undefined when it was not
   */
  learn(mac: number, port: Port, now: number): Port | undefined {
    const before = this.find(mac, now);
    this.#heard.delete(mac);
    this.#heard.set(mac, { port, at: now });
    for (const [oldest, { at }] of this.#heard) {
      if (this.#heard.size <= SIZE && now - at <= AGEING_MS) break;
      this.#heard.delete(oldest);
    }
    return before;
  }

  /** Where it is, as far as that is known at `now`. */
  find(mac: number, now: number): Port | undefined {
    const entry = this.#heard.get(mac);
    return entry && now - entry.at <= AGEING_MS ? entry.port : undefined;
  }

  /** Forgets all behind a port. */
  forget(port: Port): void {
    for (const [mac, entry] of this.#heard) if (entry.port === port) this.#heard.delete(mac);
  }
}
