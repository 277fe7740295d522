/** How long an address is kept for whom it was offered to. */
const OFFER_MS = 60_000;

/** Who an address is lent to, or was: by `mac`, empty for nobody. It is free from `until` on, in ms. */
interface Loan {
  mac: string;
  until: number;
}

/** Addresses that are lent by MAC, as numbers. Who comes back gets the same one, unless there was no other for somebody else. */
export class AddressPool {
  readonly #addresses: readonly number[];
  readonly #loans = new Map<number, Loan>();
  readonly #now: () => number;

  /** `now`: a clock in ms. */
  constructor(addresses: readonly number[], now: () => number) {
    this.#addresses = addresses;
    this.#now = now;
  }

  /**
   * Keeps an address for a while: its own, `wanted` where that is free, one that nobody had, or the one that is free for longest.
   * @returns undefined when none is free
   */
  offer(mac: string, wanted?: number): number | undefined {
    const address = this.#own(mac) ?? (wanted !== undefined && this.#isFree(wanted) ? wanted : this.#freeForLongest());
    if (address === undefined) return undefined;
    const until = Math.max(this.#now() + OFFER_MS, this.#loans.get(address)?.mac === mac ? this.#until(address) : 0);
    this.#loans.set(address, { mac, until });
    return address;
  }

  /** Lends an address for `ms`. @returns false when it is another's, or none of the pool */
  lend(mac: string, address: number, ms: number): boolean {
    if (this.#loans.get(address)?.mac !== mac && !this.#isFree(address)) return false;
    const own = this.#own(mac);
    if (own !== undefined) this.#loans.delete(own);
    this.#loans.set(address, { mac, until: this.#now() + ms });
    return true;
  }

  /** Who has it does not need it any more. */
  release(mac: string): void {
    const own = this.#own(mac);
    if (own !== undefined) this.#loans.set(own, { mac, until: this.#now() });
  }

  /** Keeps it from all for `ms`: who has it found it in use. */
  decline(mac: string, ms: number): void {
    const own = this.#own(mac);
    if (own !== undefined) this.#loans.set(own, { mac: '', until: this.#now() + ms });
  }

  #own(mac: string): number | undefined {
    for (const [address, loan] of this.#loans) if (loan.mac === mac) return address;
    return undefined;
  }

  #isFree = (address: number): boolean => this.#addresses.includes(address) && this.#until(address) <= this.#now();

  #freeForLongest(): number | undefined {
    const free = this.#addresses.filter(this.#isFree);
    return free.length === 0 ? undefined : free.reduce((a, b) => (this.#until(b) < this.#until(a) ? b : a));
  }

  #until = (address: number): number => this.#loans.get(address)?.until ?? Number.NEGATIVE_INFINITY;
}
