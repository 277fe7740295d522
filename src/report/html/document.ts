import { join } from 'node:path';
import type { Requirement } from '../../contract/index.js';
import type { RunResult } from '../../runner/index.js';
import { readTimeline, type Timeline } from '../../timeline/index.js';
import { expectationText } from '../expectation.js';
import { count, formatMs } from '../format.js';
import { groupBy } from '../group.js';
import { renderOutages } from '../outages.js';
import { paint } from '../paint.js';
import { banner, countsOf } from '../summary.js';
import { renderArticle } from './article.js';
import { readAssets } from './assets.js';
import { type Chapter, chaptersOf, choose, type Entry, entriesOf } from './chapters.js';
import { factsOf } from './facts.js';
import { type Content, html, type Markup } from './markup.js';
import { hrefOf, renderMatrix } from './matrix.js';

/** So many failures come with a picture of their timeline, and so many in full; the first of each cause before others. */
export const MAX_PICTURES = 60;
export const MAX_ARTICLES = 500;

/**
 * The report of a run as a page, piece by piece. It needs nothing but itself.
 * @param out the folder that the timelines are in
 * @param timelineOf reads one of them
 */
export async function* renderDocument(
  result: RunResult,
  out: string,
  contract: readonly Requirement[],
  timelineOf: (file: string) => Promise<Timeline> = readTimeline,
): AsyncGenerator<string> {
  const read: Reads = (entry) => readEntry(entry, (name) => timelineOf(join(out, name)));
  const { policy, style, scripts } = readAssets();
  const entries = entriesOf(result.variants);
  const chapters = chaptersOf(entries);
  const detailed = choose(chapters, MAX_ARTICLES);
  const pictured = choose(chapters, MAX_PICTURES);
  yield html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${bannerOf(result).join(' ')}</title>
${style}</head><body>
${renderHeader(result, chapters)}<main>
`.source;
  yield renderFacts(result, await firstCommandLine(entries, chapters, read)).source;
  yield renderIndex(chapters, contract).source;
  yield html`<section id="_matrix"><h2>Requirements by case</h2>
<p class="muted">Variants in which a requirement held; <b class="bad">✕</b> broke; <b class="known">≈</b> broke as expected; <b class="noted">!</b> broke, which fails no variant in this run; · had no occasion. Broken ones lead to the first failure.</p>
${renderMatrix(result, entries, contract)}</section>
`.source;
  for (const chapter of chapters) {
    yield html`<section id="${chapter.id}" class="chapter"><h2>${chapter.title} <span class="muted">${String(sizeOf(chapter))}</span></h2>
`.source;
    for (const { title, entries: some } of chapter.causes) {
      yield html`<h3>${requirementTitle(title, contract)} <span class="muted">${count(some.length, 'variant')}</span></h3>
`.source;
      for (const entry of some) {
        if (!detailed.has(entry)) yield renderLine(entry).source;
        else {
          const { timeline, note } = pictured.has(entry) ? await read(entry) : beyond;
          yield renderArticle(entry, contract, timeline, note).source;
        }
      }
    }
    yield '</section>\n';
  }
  for await (const part of renderDrills(entries, contract, read)) yield part.source;
  yield renderOthers(entries).source;
  yield html`</main>
${scripts}</body></html>
`.source;
}

const beyond = { timeline: undefined, note: `No picture: ${MAX_PICTURES} failures have one, the first of each cause.` };

/** What is worst in one word, and the sentence about it. */
function bannerOf(result: RunResult): [word: string, rest: string] {
  const [word, ...rest] = banner(result, paint(false)).split('  ');
  return [word!, rest.join('  ')];
}

function renderHeader(result: RunResult, chapters: readonly Chapter[]): Markup {
  const [word, rest] = bannerOf(result);
  const tone = ['CRASH', 'HANG', 'FAIL', 'STALE'].includes(word)
    ? 'bad'
    : /^(PASS|AS EXPECTED)$/.test(word)
      ? 'good'
      : 'warn';
  return html`<header class="${tone}"><h1><b>${word}</b> ${rest}</h1>
<p>${countsOf(result)}; exit code ${result.exitCode}</p>
<p class="muted">QEMU ${result.qemu.version} (${result.qemu.path}); ${result.startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}, ${formatMs(result.durationMs)}</p>
<nav>${chapters.map(({ id, title, tone: colour, ...chapter }) => html`<a class="${colour}" href="#${id}">${title} ${String(sizeOf(chapter))}</a> `)}<a href="#_matrix">Requirements</a> <a href="#_variants">All variants</a> <a href="#_environment">Environment</a></nav></header>
`;
}

const sizeOf = ({ causes }: Pick<Chapter, 'causes'>) => causes.reduce((sum, { entries }) => sum + entries.length, 0);

function renderFacts(result: RunResult, argv: string | undefined): Markup {
  const all = [
    ...factsOf(result),
    ...(argv === undefined ? [] : [['command line of the first failure', argv] as const]),
  ];
  return html`<section id="_environment"><details><summary><h2>What was tested</h2> <span class="muted">${result.qemu.versionText}</span></summary>
<table class="facts"><tbody>${all.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>\n`)}</tbody></table></details></section>
`;
}

async function firstCommandLine(entries: readonly Entry[], chapters: readonly Chapter[], read: Reads) {
  const first = chapters[0]?.causes[0]?.entries[0] ?? entries.find(({ result }) => result.timeline !== undefined);
  return first && (await read(first)).timeline?.context.qemu.argv.join(' ');
}

type Reads = (entry: Entry) => Promise<{ timeline: Timeline | undefined; note: string | undefined }>;

/** A timeline that cannot be read costs its picture, not the report. */
async function readEntry({ result }: Entry, timelineOf: (name: string) => Promise<Timeline>): ReturnType<Reads> {
  if (result.timeline === undefined) return { timeline: undefined, note: undefined };
  try {
    return { timeline: await timelineOf(result.timeline), note: undefined };
  } catch (error) {
    return { timeline: undefined, note: `No picture: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** `R1: QEMU survives the peer` for a requirement's id, any other text as it is. */
function requirementTitle(text: string, contract: readonly Requirement[]): string {
  const title = contract.find(({ id }) => id === text)?.title;
  return title === undefined ? text : `${text}: ${title}`;
}

/** A longer list of one cause is closed at first: what else is wrong is not to be pushed out of sight. */
const OPEN = 12;

/** What is not simply well, by cause. The field works with a script only, and shows up with it. */
function renderIndex(chapters: readonly Chapter[], contract: readonly Requirement[]): Markup {
  const item = (entry: Entry, tone: string) =>
    html`<li data-line=""><a href="${hrefOf(entry.anchor)}" class="${tone}">${entry.anchor}</a> <span class="muted">${brief(entry)}</span></li>\n`;
  return html`<section id="_failures"><h2>What to look at</h2>
<p id="_filter" hidden><label>Filter all variants <input type="search" placeholder="words, e.g. role=server R8" autocomplete="off"></label> <output></output></p>
${chapters.length === 0 && html`<p class="muted">Nothing: every variant that ran held.</p>`}${chapters.map(
  ({ title, tone, causes }) =>
    html`<h3>${title}</h3>${causes.map(({ title: cause, entries }) => html`<details ${entries.length <= OPEN && opened}><summary>${requirementTitle(cause, contract)} <span class="muted">${count(entries.length, 'variant')}</span></summary><ul class="index">${entries.map((entry) => item(entry, tone))}</ul></details>\n`)}`,
)}</section>
`;
}

const opened = html`open=""`;

const brief = ({ result }: Entry) => {
  const { expectation } = result;
  if (expectation && expectation.state !== 'exceeded')
    return `${expectation.broken.join(' ')} ${expectation.reference}`;
  return result.reason === undefined
    ? ''
    : result.reason.length > 160
      ? `${result.reason.slice(0, 157)}...`
      : result.reason;
};

function renderLine({ result, anchor }: Entry): Markup {
  return html`<p id="${anchor}" class="line"><b>${anchor}</b> ${expectationText(result) ?? result.reason} <span class="muted">Not shown in full: ${String(MAX_ARTICLES)} are; results.json has all.</span><br><code>${result.reproduce}</code></p>
`;
}

/** A drill that passed is told in full too: what was done by hand, and what became of it, is what its report is for. */
async function* renderDrills(entries: readonly Entry[], contract: readonly Requirement[], read: Reads) {
  const drills = entries.filter(({ result }) => result.case === 'drill' && result.verdict === 'pass');
  if (drills.length === 0) return;
  yield html`<section id="_drills" class="chapter"><h2>Drills that passed <span class="muted">${String(drills.length)}</span></h2>\n`;
  for (const entry of drills.slice(0, MAX_PICTURES)) {
    const { timeline, note } = await read(entry);
    yield renderArticle(entry, contract, timeline, note);
  }
  yield html`</section>\n`;
}

/** What passed, what was skipped and why, and the figures of the outages. */
function renderOthers(entries: readonly Entry[]): Markup {
  const passed = groupBy(
    entries.filter(({ result }) => result.verdict === 'pass'),
    ({ result }) => result.case,
  );
  const skipped = groupBy(
    entries.filter(({ result }) => result.verdict === 'skip'),
    ({ result }) => result.reason ?? 'no reason given',
  );
  const lists = (groups: ReadonlyMap<string, readonly Entry[]>): Content =>
    [...groups].map(
      ([title, some]) =>
        html`<details class="list"><summary>${title} <span class="muted">${String(some.length)}</span></summary><pre data-lines="">${some.map(({ anchor }) => anchor.replaceAll('\n', ' ')).join('\n')}</pre></details>\n`,
    );
  const outages = renderOutages(entries.map(({ result }) => result));
  return html`<section id="_variants"><h2>Passed</h2>
${passed.size === 0 ? html`<p class="muted">none</p>` : lists(passed)}
${skipped.size > 0 && html`<h2>Skipped, by reason</h2>${lists(skipped)}`}</section>
${outages.length > 0 && html`<section><h2>Outages</h2><pre>${outages.join('\n')}</pre></section>`}`;
}
