/** What is wrong with a case file, or with an expectation file. Stable: tests and tools go by it. */
export type CaseErrorCode =
  | 'ERR_CASE_FILE'
  | 'ERR_CASE_YAML'
  | 'ERR_CASE_SHAPE'
  | 'ERR_CASE_VERB'
  | 'ERR_CASE_MATRIX'
  | 'ERR_CASE_PLACEHOLDER'
  | 'ERR_CASE_DUPLICATE'
  | 'ERR_EXPECTED';

/** A place in a case file; line and column count from 1. */
export interface Place {
  file: string;
  line: number;
  column: number;
}

/** One mistake in a case file: where, what was expected, what was there, and often what to do. */
export class CaseError extends Error {
  override readonly name = 'CaseError';
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor(
    readonly code: CaseErrorCode,
    place: Place,
    readonly expected: string,
    readonly got: string,
    readonly hint?: string,
  ) {
    const where = `${place.file}:${place.line}:${place.column}`;
    super(`${where}: expected ${expected}, got ${got}${hint ? ` (${hint})` : ''}`);
    this.file = place.file;
    this.line = place.line;
    this.column = place.column;
  }
}

/** All the mistakes of a catalogue at once, one a line, so that they can be mended in one go. */
export class CatalogueError extends Error {
  override readonly name = 'CatalogueError';
  readonly code = 'ERR_CATALOGUE';

  constructor(readonly errors: readonly CaseError[]) {
    super(errors.map((error) => error.message).join('\n'));
  }
}
