import type { z } from 'zod';
import type { Stage } from '../stage.js';

/** A step's verb: its file declares what it takes, what it means, and what it does. */
export interface Verb<Params = unknown> {
  /** The key in the YAML step. */
  name: string;
  /** One sentence for `explain` and the schema. */
  help: string;
  /** Shape of the value behind the key. Durations and placeholders are resolved before it is parsed. */
  schema: z.ZodType<Params>;
  /** Does it. Resolves when the step's event came. @throws StepTimeout when it did not come in time. */
  run(stage: Stage, params: Params): Promise<void>;
}
