import type { Stage } from '../../../src/cases/index.js';
import { verbs } from '../../../src/cases/verbs/index.js';

/** A stage that has the parts given, and no others: a verb that reaches for another fails. */
export function stageOf(parts: object): Stage {
  return new Proxy(parts, {
    get(target, name) {
      if (name in target) return target[name as keyof typeof target];
      throw new Error(`the verb uses ${String(name)} of the stage`);
    },
  }) as Stage;
}

/** Does a step as a case has it, durations in ms. @throws ZodError for what the verb does not take; what the verb throws */
export async function perform(name: string, stage: Stage, params: unknown): Promise<void> {
  const verb = verbs.find((one) => one.name === name);
  if (!verb) throw new Error(`no verb ${name}`);
  await verb.run(stage, verb.schema.parse(params));
}

/** Whether a verb takes this. */
export function takes(name: string, params: unknown): boolean {
  return verbs.find((one) => one.name === name)!.schema.safeParse(params).success;
}
