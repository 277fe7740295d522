/** `port=p0 away=2s back={"profile":"x"}`, or one word or JSON value that is the parameters as a whole. */
export function parametersOf(words: readonly string[]): { port?: string; params?: unknown } {
  const value = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };
  let port: string | undefined;
  const entries: [string, unknown][] = [];
  let whole: unknown;
  for (const word of words) {
    const [, name, text] = /^([a-z][a-z-]*)=(.*)$/s.exec(word) ?? [];
    if (name === 'port') port = text;
    else if (name !== undefined) entries.push([name, value(text!)]);
    else whole = value(word);
  }
  const params = entries.length > 0 ? Object.fromEntries(entries) : whole;
  return { ...(port !== undefined && { port }), ...(params !== undefined && { params }) };
}

/** A line that was typed: `restart away=2s port=p0`. A note's text is all that follows, blanks and all. */
export function commandOf(line: string): { verb: string; port?: string; params?: unknown } {
  const [verb = '', ...words] = line.trim().split(/\s+/);
  const text = /^note\s+text=(.*)$/.exec(line.trim())?.[1];
  return { verb, ...(text === undefined ? parametersOf(words) : { params: { text } }) };
}
