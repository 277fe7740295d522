import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { tester } from '../../src/cli/package.js';
import { manPage } from './man-page.js';

const file = new URL('../../docs/vhost-reconnect.1', import.meta.url);

it('is the one in docs, and has every command and option (UPDATE_MAN=1 renews it)', async () => {
  const page = await manPage(tester.version);
  if (process.env.UPDATE_MAN) writeFileSync(file, page);
  expect(readFileSync(file, 'utf8')).toBe(page);
  for (const part of ['.SS vhost\\-reconnect merge', '\\fB\\-\\-shard\\fR', '\\fB130\\fR\ninterrupted'])
    expect(page).toContain(part);
  expect(page).not.toMatch(/^[.'](?!\\"|TH |SH |SS |TP$|PP$)/m);
});
