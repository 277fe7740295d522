/** The extent of a function's definition: `first` is the line on which it starts, its return type included; from 1. */
export interface Extent {
  name: string;
  first: number;
  /** The line of its closing brace. */
  last: number;
}

/** What the shape of a C file says, without a preprocessor. */
export interface CShape {
  functions: Extent[];
  /** By line, from 1: whether code put before this line is compiled as code: no comment, string or directive goes on here. */
  open: boolean[];
  /** The line before which file-scope code comes after the file's includes: outside of any #if, before the first function. */
  top: number;
}

const IDENTIFIER = /[A-Za-z_]\w*/y;
/** A string or character literal, with its escapes; one that does not end on its line ends there. */
const LITERAL = /(["'])(?:\\[\s\S]|(?!\1)[^\\\n])*\1?/y;
const COMMENT = /\/\*[\s\S]*?(?:\*\/|$)|\/\/(?:\\\n|[^\n])*/y;
/** A whole directive, with its continued lines and the comments in it. */
const DIRECTIVE = /#(?:\\\n|\/\*[\s\S]*?(?:\*\/|$)|(?!\/\*)[^\n])*/y;
const SPACE = /\s+/y;

interface Token {
  text: string;
  at: number;
}

/**
 * Reads the shape of a C source file in QEMU's style. Braces in comments, literals and directives do not count; where
 * branches of an #if each open a brace, one of them counts.
 * @param text lines end in \n
 */
export function shapeOf(text: string): CShape {
  const lines = lineStarts(text);
  const lineAt = (offset: number): number => {
    let [low, high] = [0, lines.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (lines[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
  const open = new Array<boolean>(lines.length + 1).fill(true);
  const functions: Extent[] = [];
  /** For each open #if the depth before it. */
  const conditions: number[] = [];
  let depth = 0;
  let top = 1;
  let includesOver = false;
  let includeWaits = false;
  /** What stands at file scope since the last thing that ended there. */
  let declaration: Token[] = [];
  let found: Omit<Extent, 'last'> | undefined;

  const skip = (from: number, to: number) => {
    for (let line = lineAt(from) + 1; line <= lineAt(to - 1); line++) open[line] = false;
  };
  const directive = (from: number, to: number) => {
    const word = /^#\s*(\w*)/.exec(text.slice(from, to))?.[1] ?? '';
    const after = lineAt(to - 1) + 1;
    if (word.startsWith('if')) conditions.push(depth);
    else if (word.startsWith('el')) depth = conditions.at(-1) ?? depth;
    else if (word === 'endif') conditions.pop();
    if (word === 'include' && !includesOver) includeWaits = true;
    if (includeWaits && conditions.length === 0) {
      top = after;
      includeWaits = false;
    }
    if (depth === 0) declaration = [];
  };
  const brace = (at: number) => {
    if (depth++ > 0) return;
    found = definition(declaration, lineAt, text, lines);
    if (found) includesOver = true;
    declaration.push({ text: '{', at });
  };
  const endBrace = (at: number) => {
    depth = Math.max(0, depth - 1);
    if (depth > 0) return;
    if (!found) return;
    functions.push({ ...found, last: lineAt(at) });
    found = undefined;
    declaration = [];
  };

  let lineHasCode = false;
  for (let at = 0; at < text.length; ) {
    const next = (pattern: RegExp): number | undefined => {
      pattern.lastIndex = at;
      return pattern.test(text) ? pattern.lastIndex : undefined;
    };
    const space = next(SPACE);
    if (space !== undefined) {
      if (text.slice(at, space).includes('\n')) lineHasCode = false;
      at = space;
      continue;
    }
    const comment = next(COMMENT);
    if (comment !== undefined) {
      skip(at, comment);
      at = comment;
      continue;
    }
    const letter = text[at]!;
    if (letter === '#' && !lineHasCode) {
      const end = next(DIRECTIVE)!;
      skip(at, end);
      directive(at, end);
      at = end;
      continue;
    }
    lineHasCode = true;
    if (letter === '\\') {
      // A continued line outside of a directive.
      if (text[at + 1] === '\n') open[lineAt(at) + 1] = false;
      at += 1;
      continue;
    }
    const end = next(LITERAL) ?? next(IDENTIFIER) ?? at + 1;
    if (letter === '"' || letter === "'") skip(at, end);
    if (letter === '{') brace(at);
    else if (letter === '}') endBrace(at);
    else if (depth === 0 && letter === ';') declaration = [];
    else if (depth === 0) declaration.push({ text: text.slice(at, end), at });
    at = end;
  }
  return { functions, open, top };
}

/**
 * The head of a function's definition, if that is what stands before a brace at file scope: a name and a list of
 * parameters, and nothing after it.
 */
function definition(
  tokens: readonly Token[],
  lineAt: (offset: number) => number,
  text: string,
  lines: readonly number[],
): Omit<Extent, 'last'> | undefined {
  if (tokens.at(-1)?.text !== ')' || tokens.some((token) => token.text === '=' || token.text === '{')) return undefined;
  let depth = 0;
  let index = tokens.length - 1;
  for (; index >= 0; index--) {
    const { text: token } = tokens[index]!;
    if (token === ')') depth++;
    else if (token === '(' && --depth === 0) break;
  }
  const name = tokens[index - 1];
  if (!name || !/^[A-Za-z_]\w*$/.test(name.text)) return undefined;
  // A macro's line without a semicolon may stand before; a head has no blank line in it.
  const blank = (line: number) => text.slice(lines[line - 1], lines[line]).trim() === '';
  const earliest = lineAt(tokens[0]!.at);
  let first = lineAt(name.at);
  while (first > earliest && !blank(first - 1)) first--;
  return { name: name.text, first };
}

/** The offset at which each line starts, beginning with line 1; the last one may be empty. */
function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
