import { profiles } from '../peer/index.js';
import type { Vocabulary } from './definition.js';
import { verbs } from './verbs/index.js';

/** What the cases of this version may speak of. */
export const vocabulary: Vocabulary = { verbs, profiles: Object.keys(profiles) };
