/**
 * What makes the report of a run handy: pictures of timelines, a filter, buttons that copy. Without it all of the text is there.
 * @typedef {import('../html/drawing.js').Drawing} Drawing
 * @typedef {import('./timeline-picture.js').TimelinePicture} TimelinePicture
 */

/** @template {Element} T @param {string} selector @param {ParentNode} [within] @returns {T[]} */
const all = (selector, within = document) => [.../** @type {NodeListOf<T>} */ (within.querySelectorAll(selector))];

// --- pictures: each is drawn when it comes near, from its data and the table of events below it -------------------------

/** @param {Element} place */
function mount(place) {
  if (place.querySelector('timeline-picture')) return;
  const data = JSON.parse(place.querySelector('script')?.textContent ?? '{}');
  const rows = all('tr[data-event]', place);
  /** @type {Drawing} */
  const drawing = {
    ...data,
    events: data.events.map(
      (/** @type {[number, number, string, number]} */ [t, lane, look, marked], /** @type {number} */ i) => ({
        t,
        lane,
        look,
        marked: marked === 1,
        text: rows[i]?.lastElementChild?.textContent ?? '',
      }),
    ),
  };
  const picture = /** @type {TimelinePicture} */ (document.createElement('timeline-picture'));
  picture.setAttribute('label', place.getAttribute('data-label') ?? '');
  place.prepend(picture);
  picture.show(drawing);
}

const places = all('.timeline');
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries)
      if (isIntersecting) {
        near.unobserve(target);
        mount(target);
      }
  },
  { rootMargin: '600px' },
);
for (const place of places) near.observe(place);

// --- paper shows what a click would have ------------------------------------------------------------------------------------

/** @type {HTMLDetailsElement[]} */
let opened = [];
addEventListener('beforeprint', () => {
  places.forEach(mount);
  opened = all('details:not([open])');
  for (const details of opened) details.open = true;
});
addEventListener('afterprint', () => {
  for (const details of opened) details.open = false;
});

// --- copying ----------------------------------------------------------------------------------------------------------------

for (const code of all('.command code')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.onclick = async () => {
    const text = code.textContent ?? '';
    button.textContent = (await copy(text)) ? 'Copied' : 'Press Ctrl+C';
    if (button.textContent !== 'Copied') getSelection()?.selectAllChildren(code);
  };
  code.after(button);
}

/** Pages of a file may not have the clipboard. @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// --- the filter: lines of variants, by words --------------------------------------------------------------------------------

const field = /** @type {HTMLInputElement | null} */ (document.querySelector('#_filter input'));
const lists = all('pre[data-lines]').map((pre) => {
  const lines = (pre.textContent ?? '').split('\n');
  return {
    pre,
    details: /** @type {HTMLDetailsElement} */ (pre.closest('details')),
    lines,
    lower: lines.map((line) => line.toLowerCase()),
  };
});
const items = all('li[data-line]').map((item) => ({
  item: /** @type {HTMLElement} */ (item),
  lower: (item.textContent ?? '').toLowerCase(),
}));
const groups = /** @type {HTMLDetailsElement[]} */ (all('#_failures details')).map((details) => ({
  details,
  open: details.open,
}));

function filter() {
  const words = (field?.value ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  /** @param {string} line */
  const fits = (line) => words.every((word) => line.includes(word));
  let found = 0;
  for (const { item, lower } of items) {
    item.hidden = !fits(lower);
    if (!item.hidden) found++;
  }
  for (const { details, open } of groups) {
    details.hidden = details.querySelector('li:not([hidden])') === null;
    details.open = open || words.length > 0;
  }
  for (const { pre, details, lines, lower } of lists) {
    const kept = words.length === 0 ? lines : lines.filter((_, i) => fits(/** @type {string} */ (lower[i])));
    pre.textContent = kept.join('\n');
    details.hidden = kept.length === 0;
    details.open = words.length > 0;
    found += kept.length;
  }
  const output = document.querySelector('#_filter output');
  if (output)
    output.textContent =
      words.length === 0 ? '' : `${found} of ${items.length + lists.reduce((sum, { lines }) => sum + lines.length, 0)}`;
}

if (field) {
  const form = /** @type {HTMLElement} */ (field.closest('#_filter'));
  form.hidden = false;
  field.addEventListener('input', filter);
}
