/** The fractional part of the golden ratio: its multiples, taken modulo 1, fill 0 to 1 evenly and never repeat. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Number `i` of a fixed sequence that is spread evenly over 0 (included) to `most`: the same in every run. */
export const spread = (i: number, most: number): number => most * ((i * GOLDEN) % 1);
