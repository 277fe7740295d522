import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { registry } from '../../src/contract/index.js';
import { MAX_ARTICLES, MAX_PICTURES } from '../../src/report/html/document.js';
import { HtmlReporter } from '../../src/report/html.js';
import type { RunResult } from '../../src/runner/index.js';
import { crashed, runOf, variant } from './fixtures.js';
import { HOSTILE, type Stored, store } from './synthetic.js';

let stored: Stored | undefined;
afterEach(async () => {
  await stored?.remove();
  stored = undefined;
});

async function page(
  make: Promise<Stored>,
  change: (stored: Stored) => RunResult | Promise<RunResult> = ({ result }) => result,
) {
  stored = await make;
  await new HtmlReporter(registry).onEnd(await change(stored), stored.out);
  return readFile(join(stored.out, 'report.html'), 'utf8');
}
const decoded = (text: string) =>
  text
    .replaceAll('&#39;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');

describe('report.html', () => {
  it('tells of a failure all there is to tell, and is the one file written', async () => {
    const text = decoded(await page(store(6, 1)));
    expect((await readdir(stored!.out)).sort()).toEqual(['report.html', 'timelines']);
    const [failed] = stored!.result.variants;
    const requirement = registry.find(({ id }) => id === 'R1')!;
    for (const part of [
      'CRASH</b> QEMU died in 1 of 6 variants',
      '5 pass, 1 fail (1 crash)',
      requirement.sentence,
      requirement.sources[0]!,
      requirement.allowed,
      'it broke',
      failed!.reproduce,
      `<a href="${failed!.timeline}">`,
      'Assertion failed',
      '#1  main ()',
      'VIRTIO_NET_F_MQ',
      'QEMU emulator version 7.2.22 (Debian)',
    ])
      expect(text).toContain(part);
    expect(text).toContain(`<article id="${failed!.variant}">`);
    for (const { variant: id } of stored!.result.variants.slice(1)) expect(text).toContain(id);
  });

  it('has timelines read as it is told to', async () => {
    stored = await store(2, 1);
    const read: string[] = [];
    const timelineOf = async (file: string) => {
      read.push(file);
      throw new Error('not this one');
    };
    await new HtmlReporter(registry, timelineOf).onEnd(stored.result, stored.out);
    expect(await readFile(join(stored.out, 'report.html'), 'utf8')).toContain('No picture: not this one');
    expect(new Set(read)).toEqual(new Set([join(stored.out, stored.result.variants[0]!.timeline!)]));
  });

  it('lets every link within the page lead somewhere', async () => {
    const text = await page(store(MAX_ARTICLES + 40, MAX_ARTICLES + 20));
    const ids = new Set([...text.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id));
    const links = [...text.matchAll(/href="#([^"]*)"/g)].map(([, link]) => decodeURIComponent(link!));
    expect(links.length).toBeGreaterThan(MAX_ARTICLES);
    expect(links.filter((link) => !ids.has(link))).toEqual([]);
    expect(text.split('<article ').length - 1).toBe(MAX_ARTICLES);
    expect(text.split('class="timeline"').length - 1).toBe(MAX_PICTURES);
  });

  it('shows what was tested and where, of several machines each', async () => {
    const fact = (name: string, value: string) => `<th scope="row">${name}</th><td>${value}</td>`;
    const text = await page(store(1, 0), ({ result }) => ({ ...result, qemu: { ...result.qemu, buildId: null } }));
    const [host] = stored!.result.hosts;
    expect(text).toContain(fact('qemu package', 'qemu-system-x86 1:7.2+dfsg-7'));
    expect(text).toContain(fact('qemu sha256', 'ab'.repeat(32)));
    expect(text).not.toContain('qemu build id');
    expect(text).toContain(fact('contract version', '1'));
    expect(text).toContain(fact('host kernel', host!.kernel));
    await stored!.remove();
    const many = await page(store(1, 0), ({ result }) => ({
      ...result,
      hosts: [host!, { ...host!, kernel: '6.2.0' }],
    }));
    expect(many).toContain(fact('hosts 1 kernel', host!.kernel));
    expect(many).toContain(fact('hosts 2 kernel', '6.2.0'));
  });

  it('does without a timeline that cannot be read', async () => {
    const gone = await page(store(2, 1), async ({ result, out }) => {
      await rm(join(out, result.variants[0]!.timeline!));
      return result;
    });
    expect(gone).toContain('No picture: ENOENT');
    expect(gone).toContain('killed by SIGABRT');
    await stored!.remove();
    const spoilt = await page(store(2, 1), async ({ result, out }) => {
      await writeFile(join(out, result.variants[0]!.timeline!), '{}\n');
      return result;
    });
    expect(spoilt).toContain('expected event number 0');
  });

  it('lists what was skipped by reason, and is glad when nothing failed', async () => {
    const skip = variant({ variant: 'client.x', verdict: 'skip', reason: 'no reconnect-ms <here>' });
    const text = await page(store(1, 0), ({ result }) => runOf([...result.variants, skip]));
    expect(text).toContain('no reconnect-ms &lt;here&gt;');
    expect(text).toContain('Nothing: every variant that ran held.');
  });

  it('writes nothing that is hostile as markup', async () => {
    const text = await page(store(8, 4, HOSTILE), ({ result }) => ({
      ...result,
      qemu: { ...result.qemu, versionText: HOSTILE },
      variants: [...result.variants, { ...crashed, variant: `x.y[a=${HOSTILE}]`, reproduce: HOSTILE, reason: HOSTILE }],
    }));
    // Its text is there, often, and no tag or line end of it.
    expect(text.split('window.hacked').length).toBeGreaterThan(20);
    expect(text).not.toMatch(/<img|<script>window|\u2028|\u202e/);
  });

  it('grows with the number of variants no more than a line each', async () => {
    await page(store(400, 100));
    const { size } = await stat(join(stored!.out, 'report.html'));
    await stored!.remove();
    await page(store(1400, 100));
    const more = (await stat(join(stored!.out, 'report.html'))).size - size;
    expect(more / 1000).toBeLessThan(100);
  });
});
