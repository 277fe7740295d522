import { readFileSync } from 'node:fs';

const read = (): { name: string; version: string } => {
  const { name, version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return { name, version };
};

/** Name and version of this tester, by its package.json. */
export const tester = read();
