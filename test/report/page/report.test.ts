import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { registry } from '../../../src/contract/index.js';
import { HtmlReporter } from '../../../src/report/html.js';
import { HOSTILE, type Stored, store } from '../synthetic.js';
import { launch } from './browser.js';

/** What the tests touch of the browser's world, in which the functions given to `evaluate` run. */
declare const document: {
  querySelector(selector: string): { seen: { from: number; to: number } };
  querySelectorAll(selector: string): ArrayLike<{ open: boolean }>;
  body: object;
  documentElement: { scrollWidth: number };
};
declare function getComputedStyle(element: object): { backgroundColor: string; color: string };
declare const performance: { getEntriesByName(name: string): { startTime: number }[] };

let browser: Browser;
let small: Stored;
const opened: Page[] = [];

const write = async (stored: Stored) => new HtmlReporter(registry).onEnd(stored.result, stored.out);

beforeAll(async () => {
  browser = await launch();
  small = await store(30, 6, HOSTILE);
  await write(small);
});
afterAll(async () => {
  await browser?.close();
  await small?.remove();
});
afterEach(async () => {
  for (const page of opened.splice(0)) await page.context().close();
});

/** Opens a report from its file. @returns the page, with all that it complained of and asked for. */
async function open({ out }: Stored, options: BrowserContextOptions = {}, hash = '') {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  opened.push(page);
  const trouble: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => trouble.push(message.text()));
  page.on('pageerror', (error) => trouble.push(String(error)));
  page.on('request', (request) => requests.push(request.url()));
  const url = pathToFileURL(join(out, 'report.html')).href;
  await page.goto(url + hash);
  return { page, trouble, requests, url };
}

const first = (page: Page) => page.locator('article').first();
/** The first picture, drawn and with the focus. */
async function picture(page: Page) {
  await first(page).locator('.timeline').scrollIntoViewIfNeeded();
  const stage = first(page).locator('.tp-stage');
  await stage.locator('svg').waitFor();
  await stage.focus();
  return { stage, said: first(page).locator('.tp-said') };
}
const seen = (page: Page) => page.evaluate(() => document.querySelector('article timeline-picture').seen);

describe('the page', () => {
  it('opens from its file without a complaint or a request, and runs nothing that is not its own', async () => {
    const { page, trouble, requests, url } = await open(small);
    await picture(page);
    expect(trouble).toEqual([]);
    expect(requests).toEqual([url]);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
    // The hostile text is there to be read.
    expect((await first(page).locator('pre').allTextContents()).join('\n')).toContain(
      '<script>window.hacked = true</script>',
    );
    expect(await page.locator('img').count()).toBe(0);
  });

  it('forbids what its policy does not name', async () => {
    const { page, trouble } = await open(small);
    await page.evaluate(`{
      const script = document.createElement('script');
      script.textContent = 'window.hacked = true';
      document.body.append(script);
      fetch('http://127.0.0.1:9/').catch(() => {});
    }`);
    await expect.poll(() => trouble.join('\n')).toMatch(/script-src[\s\S]*connect|connect[\s\S]*script-src/i);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
  });

  it('shows the matrix, whose broken cells lead to failures', async () => {
    const { page } = await open(small);
    expect(await page.locator('.matrix tbody tr').count()).toBe(
      new Set(small.result.variants.map((one) => one.case)).size,
    );
    const broken = page.locator('.matrix td.bad a');
    expect(await broken.count()).toBe(6);
    await broken.first().click();
    const target = page.locator('article:target');
    expect(await target.count()).toBe(1);
    await expect.poll(async () => (await target.boundingBox())?.y).toBeLessThan(40);
  });

  it('filters all variants by words', async () => {
    const { page } = await open(small);
    const field = page.locator('#_filter input');
    await field.fill('case-7[ CALL.7,');
    expect(await page.locator('#_filter output').textContent()).toBe('1 of 30');
    expect(await page.locator('pre[data-lines]:visible').allTextContents()).toEqual([
      small.result.variants[7]!.variant,
    ]);
    expect(await page.locator('li[data-line]:visible').count()).toBe(0);
    await field.fill('r1: CALL.0,');
    expect(await page.locator('li[data-line]:visible').allTextContents()).toEqual([
      expect.stringContaining(small.result.variants[0]!.variant),
    ]);
    await field.fill('');
    expect(await page.locator('li[data-line]:visible').count()).toBe(6);
  });

  it('copies the command that runs a variant again', async () => {
    const { page } = await open(small, { permissions: ['clipboard-read', 'clipboard-write'] });
    const command = first(page).locator('.command');
    await command.locator('button').click();
    await command.getByText('Copied').waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(small.result.variants[0]!.reproduce);
  });

  it('has light and dark colours, of good contrast', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await open(small, { colorScheme });
      const colours = await page.evaluate(() =>
        ['body', '.muted', 'td.bad', 'td.good', 'article a', '.seen'].map((selector) => ({
          selector,
          text: getComputedStyle(document.querySelector(selector)).color,
          ground: getComputedStyle(document.body).backgroundColor,
        })),
      );
      expect(luminance(colours[0]!.ground) > 0.5).toBe(colorScheme === 'light');
      for (const { selector, text, ground } of colours)
        expect(contrast(text, ground), `${selector} in ${colorScheme}`).toBeGreaterThan(4.5);
    }
  });

  it('fits a telephone', async () => {
    const { page } = await open(small, { viewport: { width: 380, height: 800 } });
    await picture(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(380);
  });

  it('says everything without a script', async () => {
    const { page } = await open(small, { javaScriptEnabled: false });
    expect(await page.locator('#_filter').isVisible()).toBe(false);
    const rows = first(page).locator('tr[data-event]');
    expect(await rows.count()).toBeGreaterThan(50);
    await first(page).locator('.events summary').click();
    expect(await rows.last().textContent()).toContain('variant ends');
    for (const { variant } of small.result.variants)
      expect(await page.locator('body').textContent()).toContain(variant);
  });

  it('opens on paper what is closed on the screen, and closes it again', async () => {
    const { page } = await open(small);
    const openOnes = () =>
      page.evaluate(() => Array.from(document.querySelectorAll('details')).filter((one) => one.open).length);
    const before = await openOnes();
    expect(before).toBeLessThan(await page.locator('details').count());
    await page.evaluate(`dispatchEvent(new Event('beforeprint'))`);
    expect(await openOnes()).toBe(await page.locator('details').count());
    expect(await page.locator('timeline-picture svg').count()).toBe(6);
    await page.emulateMedia({ media: 'print' });
    expect(await page.locator('button:visible').count()).toBe(0);
    await page.evaluate(`dispatchEvent(new Event('afterprint'))`);
    expect(await openOnes()).toBe(before);
  });
});

describe('the picture', () => {
  it('is read event by event with the arrows, in the words of the table', async () => {
    const { page } = await open(small);
    const { said } = await picture(page);
    const rows = await first(page).locator('tr[data-event] td:last-child').allTextContents();
    const says = async (row: number) => expect(await said.textContent()).toContain(rows.at(row)!.trim());
    expect(await said.textContent()).toContain('arrows move between events');
    await page.keyboard.press('ArrowRight');
    await says(0);
    await page.keyboard.press('ArrowRight');
    await says(1);
    await page.keyboard.press('ArrowLeft');
    await says(0);
    await page.keyboard.press('End');
    await says(-1);
    await page.keyboard.press('Home');
    await says(0);
    const lane = async () => (await said.textContent())!.split(/ {2}|: /)[1];
    const before = await lane();
    await page.keyboard.press('ArrowDown');
    expect(await lane()).not.toBe(before);
    await page.keyboard.press('e');
    expect(await said.textContent()).toContain('the verdict rests on it');
  });

  it('zooms and moves by key, button, wheel and hand, and shows all again', async () => {
    const { page } = await open(small);
    const { stage } = await picture(page);
    const length = async () => {
      const { from, to } = await seen(page);
      return to - from;
    };
    const whole = await length();
    await page.keyboard.press('+');
    const closer = await length();
    expect(closer).toBeLessThan(whole * 0.7);
    await page.keyboard.press('-');
    expect(await length()).toBeCloseTo(whole, 3);
    await first(page).getByRole('button', { name: 'Zoom in' }).click();
    expect(await length()).toBeCloseTo(closer, 3);
    await stage.focus();
    const { from } = await seen(page);
    await stage.hover({ position: { x: 300, y: 60 } });
    await page.mouse.down();
    // Out of the picture: it is held all the same.
    await page.mouse.move(200, 5);
    await page.mouse.up();
    expect((await seen(page)).from).not.toBe(from);
    expect(await length()).toBeCloseTo(closer, 3);
    await stage.hover({ position: { x: 300, y: 60 } });
    await page.mouse.wheel(0, -200);
    await expect.poll(length).toBeLessThan(closer);
    await page.keyboard.press('0');
    expect(await length()).toBeCloseTo(whole, 3);
    await page.keyboard.press('f');
    expect(await first(page).getByRole('button', { name: 'Fold waits' }).getAttribute('aria-pressed')).toBe('true');
    await expect.poll(() => stage.locator('.tp-event').count()).toBeGreaterThan(20);
  });

  it('lets the wheel scroll the page as long as nobody is in the picture', async () => {
    const { page } = await open(small);
    const { stage } = await picture(page);
    await page.evaluate('document.activeElement.blur()');
    const before = await seen(page);
    const top = () => stage.boundingBox().then((box) => box!.y);
    const at = await top();
    await stage.hover({ position: { x: 300, y: 60 } });
    await page.mouse.wheel(0, -150);
    await expect.poll(top).not.toBe(at);
    expect(await seen(page)).toEqual(before);
  });

  it('follows a timeline that grows as long as all of it is seen', async () => {
    const { page } = await open(small);
    await picture(page);
    const grow = (to: number) =>
      page.evaluate(`{
        const event = (t) => ({ t, lane: 0, look: 'note', marked: false, text: 'at ' + t });
        const events = [0, 10, ${to}].map(event);
        document.querySelector('article timeline-picture').show({ from: 0, to: ${to}, lanes: ['steps'], events, spans: [], shades: [] });
      }`);
    await grow(100);
    await grow(1000);
    expect((await seen(page)).to).toBeGreaterThanOrEqual(1000);
    await page.keyboard.press('Home');
    await page.keyboard.press('+');
    const closer = await seen(page);
    await grow(5000);
    expect(await seen(page)).toEqual(closer);
  });

  it('names what is under the pointer', async () => {
    const { page } = await open(small);
    const { stage } = await picture(page);
    // Between two frames the picture is drawn anew: then the event found has no box any more.
    let box: { x: number; y: number; width: number; height: number } | null = null;
    const look = async () => {
      box = await stage.locator('.tp-event.tp-bad').last().boundingBox();
      return box;
    };
    await expect.poll(look).not.toBeNull();
    const { x, y, width, height } = box!;
    await page.mouse.move(x + width / 2, y + height / 2);
    const tip = first(page).locator('.tp-tip');
    await tip.waitFor();
    expect(await tip.textContent()).toMatch(/\+\d+\.\d{3} s {2}/);
    await page.mouse.move(5, 5);
    expect(await tip.isVisible()).toBe(false);
  });
});

describe('5,000 variants, 300 failures', () => {
  it('are written and opened at once, and a link to a failure leads there', async () => {
    const many = await store(5000, 300);
    try {
      await write(many);
      const failed = many.result.variants.filter(({ verdict }) => verdict === 'fail');
      expect(failed).toHaveLength(300);
      const target = failed[211]!.variant;
      const { page, trouble } = await open(many, {}, `#${encodeURIComponent(target)}`);
      expect(trouble).toEqual([]);
      const article = page.locator('article:target');
      expect(await article.locator('h4').textContent()).toBe(target);
      await expect.poll(async () => Math.abs((await article.boundingBox())!.y)).toBeLessThan(60);
      // Pictures are drawn where somebody looks.
      expect(await page.locator('timeline-picture').count()).toBeLessThan(10);
      await page.locator('#_filter input').fill('CALL.4321,');
      expect(await page.locator('#_filter output').textContent()).toBe('1 of 5000');
      const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
      expect(paint).toBeGreaterThan(0);
    } finally {
      await many.remove();
    }
  });
});

/** https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio */
function contrast(a: string, b: string): number {
  const [dark, bright] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (bright + 0.05) / (dark + 0.05);
}

function luminance(colour: string): number {
  const [r, g, b] = colour
    .match(/\d+/g)!
    .slice(0, 3)
    .map((part) => Number(part) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}
