import type { Requirement } from '../../contract/index.js';
import { isExpected, type VariantResult } from '../../runner/index.js';
import type { Event, Timeline } from '../../timeline/index.js';
import { renderEvents } from '../describe.js';
import { expectationText } from '../expectation.js';
import { alsoSeen, breaksOf, requirementOf } from '../failure.js';
import { clip, formatMs } from '../format.js';
import { origins } from '../requirement-text.js';
import type { Entry } from './chapters.js';
import { clock, type Drawn, draw } from './draw.js';
import { type Content, embeddedJson, html, type Markup } from './markup.js';
import { messageLines } from './messages.js';

/** Of a QEMU that writes without end the last lines are shown, and of each line and frame so much. */
const MAX_LINES = 60;
const MAX_WIDTH = 400;
/** Without a picture the end of the excerpt has to do. */
const MAX_EXCERPT = 24;

/**
 * All there is to say of one variant.
 * @param timeline its record, where there is room for a picture
 * @param note why there is no picture
 */
export function renderArticle(
  { result, anchor }: Entry,
  contract: readonly Requirement[],
  timeline: Timeline | undefined,
  note: string | undefined,
): Markup {
  const marked = new Set(breaksOf(result).flatMap(({ judgement }) => judgement.events));
  const events = timeline?.events ?? result.excerpt;
  return html`<article id="${anchor}">
<h4><a href="#${encodeURIComponent(anchor)}">${result.variant}</a></h4>
<p class="about">${badge(result)} ${result.title} <span class="muted">${formatMs(result.durationMs)}</span></p>
${expectation(result)}${reasonOf(result)}${breaksOf(result).map((one) => renderBreak(one, contract))}
<p class="command"><span>again</span> <code>${result.reproduce}</code></p>
${timeline ? renderTimeline(draw(timeline, marked, result.outages), result.variant) : renderExcerpt(result.excerpt, marked, note)}
${post(events)}${stderr(events)}${timeline ? commandLine(timeline) : undefined}
${result.timeline && html`<p class="muted">every event: <a href="${encodeURI(result.timeline)}">${result.timeline}</a></p>`}
</article>
`;
}

function badge(result: VariantResult): Markup {
  const stale = result.expectation?.state === 'stale';
  if (stale) return html`<b class="badge bad">STALE</b>`;
  if (result.verdict === 'pass') return html`<b class="badge good">PASS</b>`;
  if (result.verdict === 'inconclusive') return html`<b class="badge warn">INCONCLUSIVE</b>`;
  const kind = (result.kind ?? 'violation').toUpperCase();
  return isExpected(result) ? html`<b class="badge off">EXPECTED ${kind}</b>` : html`<b class="badge bad">${kind}</b>`;
}

function expectation(result: VariantResult): Content {
  const text = expectationText(result);
  if (text === undefined || !result.expectation) return undefined;
  const { reason, reference } = result.expectation;
  const words = { met: 'known', stale: 'stale expectation', exceeded: 'more than is known' }[result.expectation.state];
  return html`<p class="expectation"><b>${words}</b> ${text}${result.expectation.state !== 'met' && html` <span class="muted">(${reason} ${reference})</span>`}</p>`;
}

/** What no broken requirement says. */
function reasonOf(result: VariantResult): Content {
  if (!result.reason || (result.verdict === 'fail' && breaksOf(result).length > 0)) return undefined;
  return html`<p class="seen">${result.reason}</p>`;
}

function renderBreak(
  { requirement: id, judgement }: ReturnType<typeof breaksOf>[number],
  contract: readonly Requirement[],
) {
  const requirement = requirementOf(contract, id);
  return html`<dl class="break"><dt class="id">${id}</dt><dd><b>${requirement?.title}</b> <span class="muted">${requirement && `${requirement.level}, `}${judgement.kind}</span></dd>
${
  requirement &&
  html`<dt>requires</dt><dd>${requirement.sentence} <span class="muted">${origins[requirement.label]}: ${requirement.sources.join(', ')}</span></dd>
<dt>allowed</dt><dd>${requirement.allowed}</dd>
`
}<dt>seen</dt><dd class="seen">${judgement.seen}</dd>${alsoSeen(judgement).map((words) => html`<dt>also</dt><dd class="seen">${words}</dd>`)}</dl>
`;
}

function renderTimeline({ drawing, shown, leftOut }: Drawn, label: string): Markup {
  const { events, lanes, ...rest } = drawing;
  const data = { ...rest, lanes, events: events.map(({ t, lane, look, marked }) => [t, lane, look, marked ? 1 : 0]) };
  const messages = messageLines(shown);
  return html`<div class="timeline" data-label="Timeline of ${label}">
<script type="application/json">${embeddedJson(data)}</script>
<details class="events"><summary>Events as text (${events.length})</summary><div class="scroll"><table><thead><tr><th>time<th>lane<th>event</tr></thead><tbody>
${events.map(({ t, lane, marked, text }) => html`<tr data-event="" ${marked ? rested : undefined}><td>${clock(t)}<td>${lanes[lane]}<td>${text}\n`)}</tbody></table></div></details>
${leftOut && html`<p class="muted">${leftOut}; the timeline file has all.</p>`}</div>
${messages.length > 0 && fold(`Messages, decoded (${shown.filter(({ type }) => type.startsWith('wire.')).length})`, messages)}`;
}

const rested = html`class="marked" title="the verdict rests on it"`;

function renderExcerpt(excerpt: readonly Event[], marked: ReadonlySet<number>, note: string | undefined): Content {
  if (excerpt.length === 0) return note && html`<p class="muted">${note}</p>`;
  const lines = renderEvents(excerpt.slice(-MAX_EXCERPT), marked);
  return html`<p class="muted">${note}${note && ' '}Events, &gt; = the verdict rests on it:</p>
<pre>${lines.join('\n')}</pre>`;
}

const fold = (title: string, lines: readonly string[]) =>
  html`<details><summary>${title}</summary><pre>${lines.map((line) => clip(line, MAX_WIDTH * 2)).join('\n')}</pre></details>
`;

function post(events: readonly Event[]): Content {
  return events.map((event) => {
    if (event.type !== 'qemu.post-mortem') return undefined;
    const { assertion, backtrace, noBacktrace } = event;
    return html`${assertion && html`<p class="seen">assertion in ${assertion.function} (${assertion.file}:${assertion.line}): <code>${assertion.expression}</code></p>`}
${
  backtrace
    ? html`<h5>Backtrace</h5><pre>${backtrace
        .slice(0, MAX_LINES)
        .map((frame) => clip(frame, MAX_WIDTH))
        .join('\n')}</pre>`
    : html`<p class="muted">no backtrace: ${noBacktrace ?? 'no core'}</p>`
}`;
  });
}

function stderr(events: readonly Event[]): Content {
  const lines = events.flatMap((event) =>
    event.type === 'qemu.stderr' ? [`${clock(event.t).padStart(10)}  ${clip(String(event.line), MAX_WIDTH)}`] : [],
  );
  if (lines.length === 0) return undefined;
  const cut = lines.length - MAX_LINES;
  return html`<h5>QEMU's stderr</h5><pre>${cut > 0 && `... ${cut} earlier lines\n`}${lines.slice(-MAX_LINES).join('\n')}</pre>`;
}

function commandLine(t: Timeline): Content {
  return fold("QEMU's command line", [t.context.qemu.argv.join(' ')]);
}
