/** Colours a text, or leaves it alone. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  dim(text: string): string;
  bold(text: string): string;
}

const sgr = (code: number, on: boolean) => (text: string) => (on ? `\x1b[${code}m${text}\x1b[0m` : text);

/** @param colour see wantsColour. */
export function paint(colour: boolean): Paint {
  return {
    good: sgr(32, colour),
    bad: sgr(31, colour),
    warn: sgr(33, colour),
    dim: sgr(2, colour),
    bold: sgr(1, colour),
  };
}

/** Whether a stream gets colours: a terminal does, unless NO_COLOR is set (https://no-color.org) or TERM is dumb. */
export function wantsColour(stream: { isTTY?: boolean | undefined }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}
