import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import { CaseError, type Place } from './error.js';

/** Steps from the document's root to a value. */
export type Path = readonly PropertyKey[];

/** The document's value; its aliases may lead nowhere, around in a circle, or to too much. @throws CaseError */
function plain(file: string, document: Document): unknown {
  try {
    const value: unknown = document.toJS();
    JSON.stringify(value);
    return value;
  } catch (error) {
    const { message } = error as Error;
    const what = message.includes('circular') ? 'an alias inside of its own anchor' : message;
    throw new CaseError('ERR_CASE_YAML', { file, line: 1, column: 1 }, 'YAML whose aliases can be resolved', what);
  }
}

/** A parsed YAML file that still knows where each value stood. */
export class Source {
  readonly #root: Node | null;
  readonly #lines: LineCounter;
  readonly #resolve: (node: Node) => Node | undefined;

  private constructor(
    readonly file: string,
    readonly value: unknown,
    root: Node | null,
    lines: LineCounter,
    resolve: (node: Node) => Node | undefined,
  ) {
    this.#root = root;
    this.#lines = lines;
    this.#resolve = resolve;
  }

  /** @throws CaseError (ERR_CASE_YAML) at the first syntax error. */
  static parse(file: string, text: string): Source {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    const [error] = document.errors;
    if (error) {
      const { line, col } = lines.linePos(error.pos[0]);
      const what = error.code === 'MULTIPLE_DOCS' ? 'a second document' : error.message;
      throw new CaseError('ERR_CASE_YAML', { file, line, column: col }, 'YAML 1.2', what);
    }
    const resolve = (node: Node) => (isAlias(node) ? node.resolve(document) : node);
    return new Source(file, plain(file, document), document.contents, lines, resolve);
  }

  /**
   * Where the value at `path` stands. A path that goes deeper than the file does (a missing key, a value that came from
   * the matrix) gives the deepest value there is.
   * @param of `key` gives the place of the last key itself.
   */
  at(path: Path, of: 'key' | 'value' = 'value'): Place {
    let node = this.#root;
    let key: Node | null = null;
    for (const part of path) {
      const pair: Pair<Node, Node | null> | undefined = this.#child(node, part);
      if (!pair) break;
      key = pair.key;
      node = pair.value ?? pair.key;
    }
    const found = of === 'key' ? (key ?? node) : node;
    const { line, col } = this.#lines.linePos(found?.range?.[0] ?? 0);
    return { file: this.file, line, column: col };
  }

  /** A step down, as the pair of key (itself, in a sequence) and value. */
  #child(parent: Node | null, part: PropertyKey): Pair<Node, Node | null> | undefined {
    const node = parent && this.#resolve(parent);
    if (isMap<Node, Node | null>(node))
      return node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
    if (!isSeq<Node>(node)) return undefined;
    const item = node.items[Number(part)];
    return item && ({ key: item, value: item } as Pair<Node, Node>);
  }
}
