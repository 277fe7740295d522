import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ControlServer, Drill } from '../../../src/drill/index.js';
import type { Event } from '../../../src/timeline/index.js';
import { launch } from '../../report/page/browser.js';
import { DEADLINE_MS, drill, happened, served, spawned } from '../scene.js';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

/** A spawned QEMU, and the page of its drill in a real browser. What the page complains of fails the test. */
async function opened(
  options: { width?: number; guest?: boolean; dark?: boolean } = {},
): Promise<{ live: Drill; server: ControlServer; page: Page }> {
  const live = await drill({ spawn: await spawned({ guest: options.guest ?? false }) });
  await live.perform('await', 'ready');
  const server = await served(live);
  const page = await browser.newPage({
    viewport: { width: options.width ?? 1200, height: 900 },
    colorScheme: options.dark ? 'dark' : 'light',
    acceptDownloads: true,
  });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/WebSocket connection|ERR_CONNECTION/.test(message.text()))
      complaints.push(message.text());
  });
  onTestFinished(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });
  await page.goto(server.url);
  await big(page, 'CONNECTED').waitFor();
  return { live, server, page };
}

/** The tile of the state whose big word is this. */
const big = (page: Page, word: string) => page.locator(`#state b:text-is("${word}")`).first();

/** Has the page keep the big words that it shows from now on: one may be gone before somebody looks. @returns how to have them */
async function words(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(`{
    window.words = [];
    const state = document.querySelector('#state');
    const keep = () => window.words.push(...Array.from(state.querySelectorAll('b'), (word) => word.textContent));
    new MutationObserver(keep).observe(state, { subtree: true, childList: true, characterData: true });
  }`);
  return () => page.evaluate('window.words');
}

const picture = (page: Page, name: string): Promise<unknown> =>
  process.env.PICTURES === undefined
    ? Promise.resolve()
    : page.screenshot({ path: `${process.env.PICTURES}/${name}.png`, fullPage: true });

describe('the page of a drill', () => {
  it(
    'restarts the back-end on a click, after it has asked, and shows the states change',
    async () => {
      const { live, page } = await opened();
      await page.locator('#away').fill('1500ms');
      await page.locator('[data-verb=restart]').click();
      // Nothing happens before it is confirmed.
      await page.locator('dialog[open] >> text=restart').waitFor();
      expect(live.ports[0]!.recorder.latest('session.close')).toBeUndefined();
      await page.locator('dialog >> text=Cancel').click();
      await page.locator('#said >> text=not sent').waitFor();
      const shown = await words(page);
      await page.keyboard.press('r');
      await page.keyboard.press('Enter');
      await page.locator('#said >> text=restart: done').waitFor();
      await expect.poll(shown).toContain('DISCONNECTED');
      await big(page, 'CONNECTED').waitFor();
      await page.locator('#restarts tbody tr').waitFor();
      // QEMU dials again after its own interval, on top of the absence.
      const [number, , how, back] = (await page.locator('#restarts tbody tr').first().innerText()).split('\t');
      expect([number, how]).toEqual(['1', 'peer, close']);
      expect(Number.parseFloat(back!)).toBeGreaterThanOrEqual(1.5);
      await page.locator('#plot rect').first().waitFor();
      await page.locator('#verdicts >> text=✓ R1').first().waitFor();
      await page.locator('#picture >> text=session 2').first().waitFor({ state: 'attached' });
      await picture(page, 'drill-light');
      expect(live.ports[0]!.recorder.latest('step.begin')).toMatchObject({
        verb: 'restart',
        params: { away: 1500, leave: 'close' },
      });
    },
    DEADLINE_MS,
  );

  it(
    'shows a crash within a second, with its evidence',
    async () => {
      const { live, page } = await opened();
      process.kill(live.state().vm.pid!, 'SIGABRT');
      await happened(live, 'qemu.exit');
      const since = performance.now();
      await page.locator('#gone.bad >> text=QEMU IS GONE: SIGABRT').waitFor({ timeout: 30_000 });
      // Of a machine that is not overloaded; what is promised is a part of a second.
      expect(performance.now() - since).toBeLessThan(5000);
      await happened(live, 'qemu.post-mortem');
      await page.locator('#gone pre:not(:empty)').waitFor();
      expect(await page.locator('#gone').innerText()).toContain('Begin another drill');
      expect(await page.title()).toContain('QEMU GONE');
      await picture(page, 'drill-crash');
    },
    DEADLINE_MS,
  );

  it(
    'says what to do when QEMU was asked to end, which is no crash',
    async () => {
      const { live, page } = await opened();
      expect(await page.locator('#gone').isVisible()).toBe(false);
      await live.perform('qmp', { execute: 'quit' });
      await page.locator('#gone:not(.bad) >> text=QEMU is gone, as it was asked to').waitFor();
      await page.locator('#gone >> text=Begin another drill').waitFor();
    },
    DEADLINE_MS,
  );

  it(
    'tells what was refused, and keeps what is noted; what it shows is text',
    async () => {
      const { live, page } = await opened();
      await page.locator('#away').fill('soon');
      await page.keyboard.press('Tab');
      await page.locator('[data-verb=restart]').click();
      await page.locator('dialog >> text=Do it').click();
      await page.locator('#said.bad >> text=away').waitFor();
      const hostile = '<img src=x onerror="document.title=1"> & \u202e';
      await page.keyboard.press('Escape');
      await page.locator('#note').fill(hostile);
      await page.locator('#note').press('Enter');
      await page.locator('#said >> text=note: done').waitFor();
      await page.locator('#log >> text=<img').waitFor();
      expect(await page.locator('#log img').count()).toBe(0);
      expect(live.ports[0]!.recorder.latest('drill.note')).toMatchObject({ text: hostile });
      // The inspector shows the fields of the event.
      await page.locator('#filter').fill('SET_VRING_CALL');
      await page.locator('#log button').first().click();
      expect(await page.locator('#inspector').innerText()).toMatch(/name\s+SET_VRING_CALL/);
      expect(await page.locator('#inspector').innerText()).toMatch(/body\.index\s+0/);
    },
    DEADLINE_MS,
  );

  it(
    'saves the timeline, and a report that shows it, after a restart',
    async () => {
      const { live, page } = await opened();
      await live.perform('restart', { away: 0 });
      await live.perform('await', 'ready');
      const save = async (what: string, name: string) => {
        const [download] = await Promise.all([
          page.waitForEvent('download'),
          page.locator(`[data-export=${what}]`).click(),
        ]);
        expect(download.suggestedFilename()).toBe(name);
        await page.locator(`#said.good >> text=${what}: saved`).waitFor();
        return download.path();
      };
      const lines = readFileSync(await save('timeline', 'drill-p0.jsonl'), 'utf8')
        .trim()
        .split('\n');
      const events = lines.map((line) => JSON.parse(line) as Event);
      expect(events[0]).toMatchObject({ type: 'run.begin' });
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i));
      expect(events.filter(({ type }) => type === 'session.open')).toHaveLength(2);

      const folder = mkdtempSync(join(tmpdir(), 'vr-report-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const file = join(folder, 'report.html');
      copyFileSync(await save('report', 'drill-report.html'), file);
      // Alone, as somebody gets it who has the file only.
      const report = await browser.newPage();
      onTestFinished(() => report.close());
      const complaints: string[] = [];
      report.on('console', (message) => complaints.push(message.text()));
      report.on('pageerror', (error) => complaints.push(String(error)));
      await report.goto(pathToFileURL(file).href);
      const matrix = await report.locator('#_matrix').innerText();
      expect(matrix).toContain('drill');
      expect(matrix).toContain('R4');
      const article = report.locator('article').first();
      await article.scrollIntoViewIfNeeded();
      expect(await article.locator('.badge').innerText()).toBe('PASS');
      // Of sessions those are named that are long enough in it for their name.
      await article
        .locator('timeline-picture svg')
        .getByText(/^session \d$/)
        .first()
        .waitFor({ state: 'attached' });
      expect(complaints).toEqual([]);
    },
    DEADLINE_MS,
  );

  it(
    'comes back to a tester that it lost, and says meanwhile that it has',
    async () => {
      const { live, server, page } = await opened();
      const { port } = new URL(server.address);
      await server.close();
      await page.locator('#lost:not([hidden])').waitFor();
      await page.locator('[data-verb=up]').click();
      await page.locator('#said >> text=Not connected').waitFor();
      const again = await served(live, { host: '127.0.0.1', port: Number(port) });
      // The token is another one: it is not let in, and says so.
      await page.locator('#lost >> text=does not let this page in').waitFor();
      await page.goto('about:blank');
      await page.goto(again.url);
      await big(page, 'CONNECTED').waitFor();
      expect(await page.locator('#lost').isVisible()).toBe(false);
    },
    DEADLINE_MS,
  );

  it(
    'fits a phone, in the dark, with a guest, and stays small',
    async () => {
      const { live, page } = await opened({ width: 360, guest: true, dark: true });
      await happened(live, 'guest.ping');
      await live.perform('restart', { away: 500 });
      await live.perform('await', 'ready');
      await big(page, 'up').waitFor();
      await picture(page, 'drill-narrow-dark');
      expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
      const { recorder } = live.ports[0]!;
      for (let i = 0; i < 5000; i++) recorder.record({ type: 'drill.note', text: `note ${i}` });
      await page.locator('#log >> text=note 4999').waitFor();
      expect(await page.locator('#log button').count()).toBeLessThanOrEqual(1000);
      // And still answers to a click.
      await page.locator('[data-verb=stall]').click();
      await big(page, 'frozen').waitFor();
      await page.locator('[data-verb=resume]').click();
      await page.locator('#said >> text=resume: done').waitFor();
    },
    2 * DEADLINE_MS,
  );
});
