import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { worlds } from '../cli/world.js';

const world = worlds();
const text = readFileSync(new URL('../../docs/ci.md', import.meta.url), 'utf8');
const blocks = [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({
  language,
  code: code!,
}));
const of = (language: string) => blocks.filter((block) => block.language === language).map(({ code }) => code);

/** What the shell or the pipeline puts in, as the values that it may have. */
const filled = (line: string) =>
  line
    .replaceAll(/\$\{\{ matrix\.shard \}\}|\$\(\([^)]*\)\)|\$(?:CI_NODE_INDEX|SHARD|SLURM_ARRAY_TASK_ID)/g, '1')
    .replaceAll(/\$(?:CI_NODE_TOTAL|SLURM_ARRAY_TASK_COUNT)/g, '4')
    .replaceAll('$CASE', 'quit.connected')
    .replaceAll(/["']/g, '');

const commands = [
  ...text.matchAll(
    /(?:^\$ vhost-reconnect|exec vhost-reconnect|dist\/cli\/main\.js|^vhost-reconnect) (run|merge) ?(.*?)(?:'$|$)/gm,
  ),
].map(([, command, rest]) => [command!, ...filled(rest!).split(/\s+/).filter(Boolean)]);

describe('docs/ci.md', () => {
  it('has pipelines that are YAML, and scripts that are shell', () => {
    expect(of('yaml').length).toBe(3);
    for (const code of of('yaml'))
      for (const { errors } of parseAllDocuments(code) as { errors: unknown[] }[]) expect(errors).toEqual([]);
    expect(of('sh').length).toBe(2);
    for (const code of of('sh')) execFileSync('sh', ['-n'], { input: code });
  });

  it('has commands that there are', async () => {
    expect(commands.length).toBeGreaterThan(10);
    for (const [command, ...args] of commands) {
      const w = world();
      const given = args.includes('--qemu')
        ? args.map((arg, i) => (args[i - 1] === '--qemu' ? '/no/qemu' : arg))
        : [...args, '--qemu', '/no/qemu'];
      const line = command === 'merge' ? [command, ...args] : [command!, ...given];
      expect(await w.run(...line), line.join(' ')).toBe(2);
      // Nothing is wrong with the words, but with what they name.
      expect(w.err, line.join(' ')).toMatch(/\/no\/qemu|no such file or directory|is no shard/);
    }
  });
});
