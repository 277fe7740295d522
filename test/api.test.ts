import { fileURLToPath } from 'node:url';
import { Application } from 'typedoc';
import { expect, it } from 'vitest';

const inRoot = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

it('documents everything that the library exports, and what that speaks of', async () => {
  const app = await Application.bootstrap({ options: inRoot('typedoc.json') });
  const said: string[] = [];
  app.logger = Object.assign(app.logger, {
    log: (text: string, level: number) => {
      // A method may be plain from its name and its interface's words.
      if (level >= 2 && !text.includes('(CallSignature)')) said.push(text);
    },
  });
  const project = await app.convert();
  app.validate(project!);
  expect(said).toEqual([]);
});
