export { builtinCases, loadCatalogue, shownPath } from './catalogue.js';
export { type CaseDefinition, defineCase } from './define.js';
export { DRY, type Selection, selections, type Vocabulary } from './definition.js';
export { durationPattern, parseDuration, resolveDurations } from './duration.js';
export { CaseError, type CaseErrorCode, CatalogueError, type Place } from './error.js';
export { defaultMachine, expand, includes, type Scope } from './expand.js';
export { caseErrors, type Finding, findings } from './issues.js';
export { matches } from './matrix.js';
export { didYouMean, nearest } from './nearest.js';
export { missing } from './needs.js';
export type { Scalar } from './placeholder.js';
export { caseSchema } from './schema.js';
export { picks, SelectorError, select, selectorHint, variantsHint } from './select.js';
export { Source } from './source.js';
export {
  type Activity,
  type Burst,
  type CommandAnswer,
  CutOff,
  type MigrationChoice,
  QemuGone,
  type Stage,
  StepFailed,
  StepTimeout,
} from './stage.js';
export { parameterHelp, stepText } from './step-text.js';
export type { Case, Discovery, Point, Step, Variant } from './types.js';
export { backSchema, toBack } from './verbs/back.js';
export { verbs } from './verbs/index.js';
export type { Verb } from './verbs/verb.js';
export { vocabulary } from './vocabulary.js';
