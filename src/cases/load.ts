import type { z } from 'zod';
import { DISCOVERED, DRY, head, repeat, type Setting, setting, stepList, type Vocabulary, when } from './definition.js';
import { resolveDurations } from './duration.js';
import { CaseError } from './error.js';
import { bareDurations, caseErrors, show } from './issues.js';
import { type Assignment, combinations, matches } from './matrix.js';
import { didYouMean } from './nearest.js';
import { fill, placeholders, type Scalar } from './placeholder.js';
import { type Path, Source } from './source.js';
import type { Case, Point, Step } from './types.js';

/** @returns all mistakes of the file, or its case. */
export function loadCase(file: string, text: string, vocabulary: Vocabulary): Case | CaseError[] {
  try {
    return new Loader(Source.parse(file, text), vocabulary).load();
  } catch (error) {
    if (error instanceof CaseError) return [error];
    if (error instanceof Mistakes) return error.errors;
    throw error;
  }
}

/** Ends loading with the mistakes found so far; never leaves this module. */
class Mistakes extends Error {
  constructor(readonly errors: CaseError[]) {
    super('the case has mistakes');
  }
}

type Keys = Record<string, unknown>;
type KnownValues = Readonly<Record<string, readonly unknown[] | typeof DISCOVERED>>;

/** More steps, or combinations, than this are a slip, and take for ever to write out. */
const MAX_STEPS = 10_000;
const MAX_POINTS = 1000;
type ShapeCode = 'ERR_CASE_SHAPE' | 'ERR_CASE_VERB';

/** Loads one file. The first stage that finds mistakes reports all of its own; later stages rest on earlier ones. */
class Loader {
  /** The values that combinations can have, by key: those of the matrix. */
  private values: KnownValues = {};

  constructor(
    private readonly source: Source,
    private readonly vocabulary: Vocabulary,
  ) {}

  load(): Case {
    const whole = this.source.value;
    const isMapping = whole !== null && typeof whole === 'object' && !Array.isArray(whole);
    if (!isMapping) throw this.error('ERR_CASE_SHAPE', [], 'a mapping with the fields of a case', show(whole));
    const fields = whole as Keys;
    const settingKeys = [...Object.keys(setting.shape), 'steps'];
    this.checkFields(Object.keys(fields), [...Object.keys(head.shape), ...settingKeys]);
    const template = Object.fromEntries(Object.entries(fields).filter(([key]) => settingKeys.includes(key)));
    const about = this.parse(
      head,
      Object.fromEntries(Object.entries(fields).filter(([key]) => !(key in template))),
      [],
    );
    if (!('steps' in template)) throw this.error('ERR_CASE_SHAPE', [], 'a value for steps (a list)', 'none');
    this.values = about.matrix;
    this.checkPlaceholders(template, Object.keys(about.matrix));
    this.checkCombinations(about);
    const discovered = this.discoveredKey(about.matrix);
    const matrix = Object.fromEntries(
      Object.entries(about.matrix).map(([key, values]) => [key, values === DISCOVERED ? [DRY] : values]),
    );
    this.checkSize(matrix);
    const points = combinations(matrix)
      .filter((params) => !about.exclude.some((exclusion) => matches(params, exclusion)))
      .map((params) => ({
        ...this.point(template, params),
        ...(discovered !== undefined && {
          discovery: {
            key: discovered,
            with: (value: string) => this.point(template, { ...params, [discovered]: value }),
          },
        }),
      }));
    if (points.length === 0)
      throw this.error('ERR_CASE_MATRIX', ['exclude'], 'at least one combination to be left', 'none');
    const { matrix: _, ...rest } = about;
    return { ...rest, file: this.source.file, points };
  }

  private discoveredKey(matrix: z.output<typeof head>['matrix']): string | undefined {
    const [key, second] = Object.keys(matrix).filter((name) => matrix[name] === DISCOVERED);
    if (second !== undefined)
      throw this.error('ERR_CASE_MATRIX', ['matrix', second], 'one discovered key', `${key} and ${second}`);
    return key;
  }

  private checkFields(given: readonly string[], known: readonly string[]): void {
    const expected = `one of the fields ${known.join(', ')}`;
    this.report(
      given
        .filter((key) => !known.includes(key))
        .map((key) => this.error('ERR_CASE_SHAPE', [key], expected, show(key), didYouMean(key, known), 'key')),
    );
  }

  /** Placeholders without a matrix key, and matrix keys without a placeholder. */
  private checkPlaceholders(template: Keys, keys: readonly string[]): void {
    const used = placeholders(template);
    const unknown = used.filter(({ name }) => !keys.includes(name));
    const asked = conditions(template.steps);
    const idle = keys.filter((key) => !used.some(({ name }) => name === key) && !asked.includes(key));
    this.report([
      ...unknown.map(({ name, path }) =>
        this.error(
          'ERR_CASE_PLACEHOLDER',
          path,
          keys.length > 0
            ? `a key of the matrix: ${keys.map((key) => `$${key}`).join(', ')}`
            : 'no placeholder: there is no matrix',
          `$${name}`,
          didYouMean(name, keys),
        ),
      ),
      ...idle.map((key) =>
        this.error(
          'ERR_CASE_MATRIX',
          ['matrix', key],
          `$${key} somewhere in the case`,
          'no use of it',
          'remove the key',
          'key',
        ),
      ),
    ]);
  }

  private checkSize(matrix: Readonly<Record<string, readonly unknown[]>>): void {
    const points = Object.values(matrix).reduce((product, values) => product * values.length, 1);
    if (points > MAX_POINTS)
      throw this.error('ERR_CASE_MATRIX', ['matrix'], `at most ${MAX_POINTS} combinations`, String(points));
  }

  /** Each exclusion, and each entry of a selection, must speak of something that exists. */
  private checkCombinations({ matrix, exclude, selections, roles, machines }: z.output<typeof head>): void {
    const matched: KnownValues = { ...matrix, role: roles };
    this.report([
      ...exclude.flatMap((named, i) => this.checkCombination(named, ['exclude', i], matched)),
      ...Object.entries(selections).flatMap(([selection, list]) =>
        list.flatMap((named, i) =>
          this.checkCombination(named, ['selections', selection, i], { ...matched, machine: machines }),
        ),
      ),
    ]);
  }

  private checkCombination(named: Assignment, base: Path, known: KnownValues): CaseError[] {
    return Object.entries(named).flatMap(([key, value]) => {
      const path = [...base, key];
      const values = known[key];
      const keys = Object.keys(known);
      if (!values)
        return [
          this.error('ERR_CASE_MATRIX', path, `one of ${keys.join(', ')}`, show(key), didYouMean(key, keys), 'key'),
        ];
      if (values === DISCOVERED || values.some((one) => matches({ [key]: one as Scalar }, { [key]: value }))) return [];
      return [this.error('ERR_CASE_MATRIX', path, `one of ${values.join(', ')}`, show(value))];
    });
  }

  private point(template: Keys, params: Assignment): Point {
    const { steps: written, ...rest } = fill(template, params) as Keys;
    const given = this.parseTimed(setting, rest, []);
    this.checkProfile(given.profile);
    const flat = this.unroll(this.parse(stepList, written, ['steps']), ['steps'], params);
    const { total } = resolveDurations(flat.map(({ step }) => step));
    const steps = flat.map(({ step, path }) => this.step(step, path));
    return { params, ...pointOf(given), steps, minimumMs: total };
  }

  private checkProfile(name: string | undefined): void {
    const { profiles } = this.vocabulary;
    if (name === undefined || profiles.includes(name)) return;
    throw this.error(
      'ERR_CASE_SHAPE',
      ['profile'],
      `one of ${profiles.join(', ')}`,
      show(name),
      didYouMean(name, profiles),
    );
  }

  /** Writes `repeat` and `when` out, at any depth, for one combination. */
  private unroll(steps: readonly unknown[], base: Path, params: Assignment): { step: unknown; path: Path }[] {
    return steps.flatMap((step, i) => {
      const path = [...base, i];
      if (isBlock(step, 'repeat')) return this.repeated(step.repeat, [...path, 'repeat'], params);
      if (isBlock(step, 'when')) return this.chosen(step.when, [...path, 'when'], params);
      return [{ step, path }];
    });
  }

  private repeated(value: unknown, path: Path, params: Assignment): { step: unknown; path: Path }[] {
    const { times, steps } = this.parse(repeat, value, path);
    const once = this.unroll(steps, [...path, 'steps'], params);
    if (once.length * times > MAX_STEPS)
      throw this.error('ERR_CASE_SHAPE', path, `at most ${MAX_STEPS} steps`, String(once.length * times));
    return Array.from({ length: times }, () => once).flat();
  }

  private chosen(value: unknown, path: Path, params: Assignment): { step: unknown; path: Path }[] {
    const { steps, ...conditions } = this.parse(when, value, path);
    const named = Object.entries(conditions).map(([key, one]) => [key, [one].flat() as Scalar[]] as const);
    this.report(
      named.flatMap(([key, list]) => list.flatMap((one) => this.checkCombination({ [key]: one }, path, this.values))),
    );
    if (!named.every(([key, list]) => list.some((one) => matches(params, { [key]: one })))) return [];
    return this.unroll(steps, [...path, 'steps'], params);
  }

  private step(step: unknown, path: Path): Step {
    const names = [...this.vocabulary.verbs.map(({ name }) => name), 'repeat', 'when'];
    const keys = step !== null && typeof step === 'object' && !Array.isArray(step) ? Object.keys(step) : [];
    const [name] = keys;
    if (name === undefined || keys.length !== 1)
      throw this.error('ERR_CASE_VERB', path, 'a step of one verb, such as `await: ready`', show(step));
    const verb = this.vocabulary.verbs.find((known) => known.name === name);
    if (!verb) {
      const hint = didYouMean(name, names);
      throw this.error('ERR_CASE_VERB', [...path, name], `a verb: ${names.join(', ')}`, show(name), hint, 'key');
    }
    return { verb: name, params: this.parseTimed(verb.schema, (step as Keys)[name], [...path, name], 'ERR_CASE_VERB') };
  }

  private parse<T>(schema: z.ZodType<T>, value: unknown, base: Path): T {
    return this.accept(schema, schema.safeParse(value), value, base, 'ERR_CASE_SHAPE');
  }

  /** Parses a value in which durations are written with their units. */
  private parseTimed<T>(schema: z.ZodType<T>, value: unknown, base: Path, code: ShapeCode = 'ERR_CASE_SHAPE'): T {
    this.report(
      bareDurations(schema, value).map(({ path, got }) =>
        this.error(code, [...base, ...path], 'a duration such as 200ms or 2.9s', show(got), 'a unit is missing'),
      ),
    );
    return this.accept(schema, schema.safeParse(resolveDurations(value).value), value, base, code);
  }

  private accept<T>(
    schema: z.ZodType<T>,
    result: z.ZodSafeParseResult<T>,
    value: unknown,
    base: Path,
    code: ShapeCode,
  ): T {
    if (result.success) return result.data;
    throw new Mistakes(caseErrors(code, this.source, base, schema, value, result.error));
  }

  private error(
    code: CaseError['code'],
    path: Path,
    expected: string,
    got: string,
    hint?: string,
    of?: 'key',
  ): CaseError {
    return new CaseError(code, this.source.at(path, of), expected, got, hint);
  }

  private report(errors: CaseError[]): void {
    if (errors.length > 0) throw new Mistakes(errors);
  }
}

/** Whether a step is a block of steps of this name, and nothing else. */
function isBlock<K extends 'repeat' | 'when'>(step: unknown, name: K): step is Record<K, unknown> {
  return step !== null && typeof step === 'object' && name in step && Object.keys(step).length === 1;
}

/** The keys that blocks of `when` ask for, at any depth. */
function conditions(steps: unknown): string[] {
  if (steps === null || typeof steps !== 'object') return [];
  const own = isBlock(steps, 'when') ? Object.keys(steps.when ?? {}).filter((key) => key !== 'steps') : [];
  return [...own, ...Object.values(steps).flatMap(conditions)];
}

const MIB = 1 << 20;

function pointOf({ start, profile, qemu, driver }: Setting): Omit<Point, 'params' | 'steps' | 'minimumMs'> {
  const { queues, ring, reconnect, memory, mtu, chardev, extras } = qemu;
  return {
    start,
    driver,
    queuePairs: queues,
    ring,
    reconnectMs: reconnect,
    memory: memory ?? (driver === 'guest' ? 128 : 64) * MIB,
    ...(mtu !== undefined && { mtu }),
    ...(chardev !== undefined && { chardev }),
    ...(extras.length > 0 && { extras }),
    ...(profile !== undefined && { profile }),
  };
}
