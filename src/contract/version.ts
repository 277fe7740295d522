/**
 * The version of the contract. It rises whenever the same timeline may be judged otherwise than before: a requirement comes
 * or goes, changes its level, its bound or what it allows, or its judge is mended. A change of words leaves it.
 * Results of different versions cannot be compared verdict by verdict, and are not merged.
 */
export const CONTRACT_VERSION = 7;
