/**
 * <timeline-picture>: a timeline in lanes that can be zoomed, moved and read event by event. It knows nothing of the page around
 * it: `show(drawing)` is all it needs, and may be called again as a timeline grows.
 * @typedef {import('../html/drawing.js').Drawing} Drawing
 * @typedef {import('../html/drawing.js').DrawnEvent} DrawnEvent
 */
const SVG = 'http://www.w3.org/2000/svg';
/** Pixels. */
const LANE = 30;
const AXIS = 24;
const GUTTER = 72;
const END = 10;
const REACH = 7;
/** About so far apart are the times of the axis. */
const TICK = 96;
/** Milliseconds: nothing is recorded more finely. */
const FINEST = 0.01;
const ZOOM = 1.5;
/** Milliseconds: shorter waits keep their length when waits are folded, longer ones grow with their logarithm only. */
const FOLD = 2;

/** @param {number} t */
const clock = (t, step = 1) => {
  const digits = step >= 100 ? 1 : step >= 1 ? 3 : step >= 0.1 ? 4 : 6;
  return `+${(t / 1000).toFixed(digits)} s`;
};

/** @param {number} n @param {number} low @param {number} high */
const clamp = (n, low, high) => Math.min(high, Math.max(low, n));

/** @param {string} name @param {Record<string, string | number>} attributes @param {string} [text] */
const svg = (name, attributes, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
};

/** @param {string} name @param {string} className @param {string} [text] */
const tag = (name, className, text) => {
  const element = document.createElement(name);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

export class TimelinePicture extends HTMLElement {
  /** @type {Drawing} */
  #drawing = { from: 0, to: 1, lanes: [], events: [], spans: [], shades: [] };
  /** Where times lie on the axis: rising times, and the place of each. @type {{ t: number[], u: number[] }} */
  #scale = { t: [0, 1], u: [0, 1] };
  /** What part of the axis is seen. */
  #view = { from: -Infinity, to: Infinity };
  #selected = -1;
  #folded = false;
  #frame = 0;
  #width = 0;
  /** @type {{ x: number, from: number, to: number } | undefined} */
  #drag;
  #stage = tag('div', 'tp-stage');
  #tip = tag('div', 'tp-tip');
  #said = document.createElement('output');
  #fold = /** @type {HTMLButtonElement} */ (tag('button', '', 'Fold waits'));
  #evidence = /** @type {HTMLButtonElement} */ (tag('button', '', 'Evidence'));
  #resize = new ResizeObserver(() => this.#redraw());

  connectedCallback() {
    if (this.#stage.isConnected) return;
    const bar = tag('div', 'tp-bar');
    bar.append(
      this.#button('+', 'Zoom in', () => this.#zoom(1 / ZOOM)),
      this.#button('\u2212', 'Zoom out', () => this.#zoom(ZOOM)),
      this.#button('All', 'Show the whole timeline', () => this.#reset()),
      this.#evidence,
      this.#fold,
    );
    this.#evidence.title = 'Go to the next event that the verdict rests on (e)';
    this.#evidence.onclick = () => this.#toEvidence();
    this.#fold.title = 'Shorten the times in which nothing happens (f)';
    this.#fold.setAttribute('aria-pressed', 'false');
    this.#fold.onclick = () => this.#toggleFold();
    this.#stage.tabIndex = 0;
    this.#stage.setAttribute('role', 'application');
    this.#stage.setAttribute('aria-label', this.getAttribute('label') ?? 'Timeline');
    this.#tip.hidden = true;
    this.#said.className = 'tp-said';
    const drawn = tag('div', 'tp-frame');
    drawn.append(this.#stage, this.#tip);
    this.append(bar, drawn, this.#said);
    this.#listen();
    this.#resize.observe(this);
  }

  disconnectedCallback() {
    this.#resize.disconnect();
  }

  /** Draws; what is seen of it and which event is selected stay as they are when the timeline has only grown. @param {Drawing} drawing */
  show(drawing) {
    const whole = this.#isWhole();
    this.#drawing = drawing;
    this.#evidence.hidden = !drawing.events.some(({ marked }) => marked);
    this.#measure();
    if (whole) this.#view = this.#whole();
    if (this.#selected < 0) this.#say();
    this.#draw();
  }

  /** Index of the selected event; -1 when there is none. */
  get selected() {
    return this.#selected;
  }

  /** The stretch of time that is seen, in ms. */
  get seen() {
    return { from: this.#timeAt(this.#view.from), to: this.#timeAt(this.#view.to) };
  }

  // --- the axis ---------------------------------------------------------------------------------------------------------

  #measure() {
    const { from, to, events, spans } = this.#drawing;
    const times = this.#folded
      ? [from, to, ...events.map(({ t }) => t), ...spans.flatMap((span) => [span.from, span.to])]
      : [from, to];
    const t = [...new Set(times)].filter((one) => one >= from && one <= to).sort((a, b) => a - b);
    if (t.length < 2) t.push((t[0] ?? 0) + 1);
    const u = [this.#folded ? 0 : /** @type {number} */ (t[0])];
    for (let i = 1; i < t.length; i++) {
      const gap = /** @type {number} */ (t[i]) - /** @type {number} */ (t[i - 1]);
      u.push(/** @type {number} */ (u[i - 1]) + (this.#folded ? FOLD * Math.log1p(gap / FOLD) : gap));
    }
    this.#scale = { t, u };
  }

  /** @param {number} value @param {number[]} from @param {number[]} to */
  #interpolate(value, from, to) {
    let low = 0;
    let high = from.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (/** @type {number} */ (from[middle]) <= value) low = middle;
      else high = middle - 1;
    }
    const [a, b, c, d] = /** @type {[number, number, number, number]} */ ([
      from[low],
      from[low + 1],
      to[low],
      to[low + 1],
    ]);
    return c + ((value - a) / (b - a)) * (d - c);
  }

  /** @param {number} t */
  #place = (t) => this.#interpolate(t, this.#scale.t, this.#scale.u);
  /** @param {number} u */
  #timeAt = (u) => this.#interpolate(u, this.#scale.u, this.#scale.t);

  #whole() {
    const u = this.#scale.u;
    const [from, to] = /** @type {[number, number]} */ ([u[0], u.at(-1)]);
    const margin = (to - from) * 0.01;
    return { from: from - margin, to: to + margin };
  }

  #isWhole() {
    const whole = this.#whole();
    return this.#view.from <= whole.from && this.#view.to >= whole.to;
  }

  get #plot() {
    return Math.max(40, this.#width - GUTTER - END);
  }

  /** @param {number} t */
  #x(t) {
    const { from, to } = this.#view;
    return GUTTER + ((this.#place(t) - from) / (to - from)) * this.#plot;
  }

  // --- moving -----------------------------------------------------------------------------------------------------------

  /** @param {{ from: number, to: number }} view */
  #look(view) {
    const whole = this.#whole();
    const length = clamp(view.to - view.from, FINEST, whole.to - whole.from);
    const from = clamp(view.from, whole.from, whole.to - length);
    this.#view = { from, to: from + length };
    this.#redraw();
  }

  /** @param {number} factor @param {number} [at] place that stays where it is; without it the selected event, or the middle */
  #zoom(factor, at) {
    const { from, to } = this.#view;
    const event = this.#drawing.events[this.#selected];
    const place = event && this.#place(event.t);
    const fixed = at ?? (place !== undefined && place >= from && place <= to ? place : (from + to) / 2);
    this.#look({ from: fixed - (fixed - from) * factor, to: fixed + (to - fixed) * factor });
  }

  #reset() {
    this.#look(this.#whole());
  }

  #toggleFold() {
    const { from, to } = this.seen;
    const whole = this.#isWhole();
    this.#folded = !this.#folded;
    this.#fold.setAttribute('aria-pressed', String(this.#folded));
    this.#measure();
    this.#look(whole ? this.#whole() : { from: this.#place(from), to: this.#place(to) });
  }

  #toEvidence() {
    const { events } = this.#drawing;
    const next = events.findIndex(({ marked }, i) => marked && i > this.#selected);
    this.#select(next >= 0 ? next : events.findIndex(({ marked }) => marked));
  }

  /** @param {number} index */
  #select(index) {
    const event = this.#drawing.events[index];
    if (!event) return;
    this.#selected = index;
    const u = this.#place(event.t);
    const { from, to } = this.#view;
    const length = to - from;
    if (u < from + length * 0.02 || u > to - length * 0.02) this.#look({ from: u - length / 2, to: u + length / 2 });
    this.#say();
    this.#redraw();
  }

  /** To the next event in a lane above (-1) or below (1) that has any: the one nearest in time. @param {number} step */
  #crossLanes(step) {
    const { events, lanes } = this.#drawing;
    const now = events[this.#selected];
    if (!now) return this.#select(0);
    for (let lane = now.lane + step; lane >= 0 && lane < lanes.length; lane += step) {
      let best = -1;
      events.forEach((event, i) => {
        const before = events[best];
        if (event.lane === lane && (!before || Math.abs(event.t - now.t) < Math.abs(before.t - now.t))) best = i;
      });
      if (best >= 0) return this.#select(best);
    }
  }

  #say() {
    const { events, lanes } = this.#drawing;
    const event = events[this.#selected];
    this.#said.textContent = event
      ? `${clock(event.t)}  ${lanes[event.lane]}: ${event.text}${event.marked ? '  (the verdict rests on it)' : ''}`
      : 'Click or Tab into the picture: arrows move between events, + \u2212 or the wheel zoom, drag moves, 0 shows all, e goes to the evidence, f folds waits.';
  }

  // --- input ------------------------------------------------------------------------------------------------------------

  /** @param {string} text @param {string} label @param {() => void} act */
  #button(text, label, act) {
    const button = /** @type {HTMLButtonElement} */ (tag('button', '', text));
    button.type = 'button';
    button.title = label;
    button.setAttribute('aria-label', label);
    button.onclick = act;
    return button;
  }

  #listen() {
    const stage = this.#stage;
    for (const button of [this.#fold, this.#evidence]) button.type = 'button';
    stage.addEventListener('keydown', (event) => this.#key(event));
    stage.addEventListener(
      'wheel',
      (event) => {
        // Whoever scrolls the page past a picture does not mean to zoom it.
        if (document.activeElement !== stage && !event.ctrlKey) return;
        const length = this.#view.to - this.#view.from;
        const sideways = event.shiftKey ? event.deltaY : event.deltaX;
        if (Math.abs(sideways) >= Math.abs(event.deltaY)) {
          const by = (sideways / this.#plot) * length;
          this.#look({ from: this.#view.from + by, to: this.#view.to + by });
        } else if (event.deltaY > 0 && this.#isWhole()) return;
        else this.#zoom(Math.exp(clamp(event.deltaY, -200, 200) / 300), this.#placeOf(event));
        event.preventDefault();
      },
      { passive: false },
    );
    stage.addEventListener('pointerdown', (event) => {
      // A hand that leaves the picture still holds it.
      stage.setPointerCapture(event.pointerId);
      this.#drag = { x: event.clientX, from: this.#view.from, to: this.#view.to };
    });
    stage.addEventListener('pointermove', (event) => this.#point(event));
    stage.addEventListener('pointerup', (event) => {
      const moved = this.#drag && Math.abs(event.clientX - this.#drag.x) > 3;
      this.#drag = undefined;
      const [near] = moved ? [] : this.#near(event);
      if (near !== undefined) this.#select(near);
    });
    stage.addEventListener('pointercancel', () => {
      this.#drag = undefined;
    });
    stage.addEventListener('pointerleave', () => {
      this.#tip.hidden = true;
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.#drawing.events.length - 1;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowRight: () => this.#select(Math.min(last, this.#selected + 1)),
      ArrowLeft: () => this.#select(this.#selected < 0 ? last : Math.max(0, this.#selected - 1)),
      ArrowUp: () => this.#crossLanes(-1),
      ArrowDown: () => this.#crossLanes(1),
      Home: () => this.#select(0),
      End: () => this.#select(last),
      '+': () => this.#zoom(1 / ZOOM),
      '=': () => this.#zoom(1 / ZOOM),
      '-': () => this.#zoom(ZOOM),
      0: () => this.#reset(),
      e: () => this.#toEvidence(),
      f: () => this.#toggleFold(),
    };
    const act = keys[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  }

  /** Where a pointer is, in pixels of the drawing. @param {MouseEvent} event */
  #at(event) {
    const box = this.#stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top, box };
  }

  /** @param {MouseEvent} event */
  #placeOf(event) {
    const { from, to } = this.#view;
    return from + ((this.#at(event).x - GUTTER) / this.#plot) * (to - from);
  }

  /** Indices of the events under a pointer, nearest first. @param {MouseEvent} event */
  #near(event) {
    const { x, y } = this.#at(event);
    const lane = Math.floor((y - AXIS) / LANE);
    return this.#drawing.events
      .map((one, i) => ({ i, lane: one.lane, off: Math.abs(this.#x(one.t) - x) }))
      .filter((one) => one.lane === lane && one.off <= REACH)
      .sort((a, b) => a.off - b.off)
      .map(({ i }) => i);
  }

  /** @param {PointerEvent} event */
  #point(event) {
    if (this.#drag && event.buttons > 0) {
      const by = ((this.#drag.x - event.clientX) / this.#plot) * (this.#drag.to - this.#drag.from);
      if (Math.abs(this.#drag.x - event.clientX) > 3) {
        this.#look({ from: this.#drag.from + by, to: this.#drag.to + by });
      }
      this.#tip.hidden = true;
      return;
    }
    const { x, y, box } = this.#at(event);
    const lines = this.#linesAt(event, x, y);
    this.#tip.hidden = lines.length === 0;
    if (lines.length === 0) return;
    this.#tip.replaceChildren(...lines.map((line) => tag('div', '', line)));
    const wide = Math.min(420, box.width - 8);
    this.#tip.style.maxWidth = `${wide}px`;
    this.#tip.style.left = `${clamp(x + 12, 0, Math.max(0, box.width - this.#tip.offsetWidth - 4))}px`;
    this.#tip.style.top = `${y + 16}px`;
  }

  /** @param {PointerEvent} event @param {number} x @param {number} y */
  #linesAt(event, x, y) {
    const { events, spans, shades } = this.#drawing;
    const near = this.#near(event);
    if (near.length > 0) {
      const shown = near.slice(0, 5).sort((a, b) => a - b);
      const lines = shown.map((i) => {
        const one = /** @type {DrawnEvent} */ (events[i]);
        return `${clock(one.t)}  ${one.text}`;
      });
      return near.length > 5 ? [...lines, `and ${near.length - 5} more here: zoom in`] : lines;
    }
    if (x < GUTTER) return [];
    const lane = Math.floor((y - AXIS) / LANE);
    /** @param {{ from: number, to: number }} span */
    const covers = (span) => this.#x(span.from) <= x + 1 && this.#x(span.to) >= x - 1;
    const span = spans.findLast((one) => one.lane === lane && covers(one));
    const shade = shades.find(covers);
    return [
      ...(span ? [`${clock(span.from)} to ${clock(span.to)}  ${span.text}`] : []),
      ...(shade ? [shade.text] : []),
    ];
  }

  // --- drawing ----------------------------------------------------------------------------------------------------------

  #redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    if (this.#drawing.lanes.length === 0) return;
    this.#width = Math.max(260, Math.floor(this.#stage.clientWidth || this.clientWidth));
    const { lanes, spans, events, shades } = this.#drawing;
    const height = AXIS + lanes.length * LANE + 4;
    const picture = svg('svg', { viewBox: `0 0 ${this.#width} ${height}`, 'aria-hidden': 'true' });
    const right = GUTTER + this.#plot;
    /** @param {number} x */
    const inside = (x) => clamp(x, GUTTER, right);
    for (const shade of shades) {
      const [from, to] = [inside(this.#x(shade.from)), inside(this.#x(shade.to))];
      if (to > from)
        picture.append(svg('rect', { class: 'tp-shade', x: from, y: AXIS, width: to - from, height: height - AXIS }));
    }
    this.#drawAxis(picture, height);
    lanes.forEach((name, i) => {
      const y = AXIS + i * LANE;
      picture.append(svg('line', { class: 'tp-rule', x1: 0, x2: this.#width, y1: y, y2: y }));
      picture.append(svg('text', { class: 'tp-lane', x: 4, y: y + LANE / 2 + 4 }, name));
    });
    /** @type {Element[]} */
    const labels = [];
    for (const span of spans) {
      const [x1, x2] = [this.#x(span.from), this.#x(span.to)];
      if (x2 < GUTTER || x1 > right) continue;
      // What has no length is there all the same.
      const from = inside(x1);
      const width = Math.max(inside(x2) - from, 3);
      const y = AXIS + span.lane * LANE + 6;
      picture.append(svg('rect', { class: `tp-span tp-${span.look}`, x: from, y, width, height: LANE - 12, rx: 2 }));
      const room = Math.floor((width - 14) / 6.4);
      const label = span.label.length <= room ? span.label : room >= 4 ? `${span.label.slice(0, room - 1)}\u2026` : '';
      if (label) labels.push(svg('text', { class: 'tp-label', x: from + 9, y: y + 13 }, label));
    }
    this.#drawEvents(picture, events, right, height);
    picture.append(...labels);
    this.#stage.replaceChildren(picture);
  }

  /** @param {Element} picture @param {number} height */
  #drawAxis(picture, height) {
    const { from, to } = this.#view;
    const count = Math.max(3, Math.floor(this.#plot / TICK));
    const rough = (to - from) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = (rough / power < 2 ? 2 : rough / power < 5 ? 5 : 10) * power;
    // Where waits are folded no round times lie at even distances: they are told where the lines are.
    /** @type {number[]} */
    const places = [];
    for (
      let u = this.#folded ? from + rough / 2 : Math.ceil(from / step) * step;
      u <= to;
      u += this.#folded ? rough : step
    )
      places.push(u);
    const times = places.map((u) => this.#timeAt(u));
    const finest = Math.min(...times.slice(1).map((t, i) => t - /** @type {number} */ (times[i])));
    times.forEach((t, i) => {
      if (t < 0) return;
      const x = GUTTER + (((places[i] ?? from) - from) / (to - from)) * this.#plot;
      picture.append(svg('line', { class: 'tp-grid', x1: x, x2: x, y1: AXIS - 5, y2: height }));
      if (x < GUTTER + this.#plot - 22)
        picture.append(svg('text', { class: 'tp-time', x, y: AXIS - 9 }, clock(t, finest)));
    });
  }

  /** @param {Element} picture @param {readonly DrawnEvent[]} events @param {number} right @param {number} height */
  #drawEvents(picture, events, right, height) {
    const taken = new Set();
    events.forEach((event, i) => {
      const x = this.#x(event.t);
      if (x < GUTTER - 1 || x > right + 1) return;
      const y = AXIS + event.lane * LANE;
      const selected = i === this.#selected;
      if (event.marked || selected) {
        const how = selected ? 'tp-selected' : 'tp-marked';
        picture.append(svg('line', { class: how, x1: x, x2: x, y1: AXIS, y2: height }));
        picture.append(svg('path', { class: how, d: `M${x - 4.5} ${AXIS - 6}h9l-4.5 7z` }));
      }
      // What would cover the same pixels is drawn once.
      const key = `${Math.round(x * 2)} ${event.lane} ${event.look}`;
      if (taken.has(key) && !selected) return;
      taken.add(key);
      picture.append(svg('path', { class: `tp-event tp-${event.look}`, d: shape(event.look, x, y) }));
      if (selected) picture.append(svg('circle', { class: 'tp-selected', cx: x, cy: y + LANE / 2, r: 9 }));
    });
  }
}

/** Shapes tell the looks apart as colours do. @param {DrawnEvent['look']} look @param {number} x @param {number} y top of the lane */
function shape(look, x, y) {
  const middle = y + LANE / 2;
  switch (look) {
    case 'in':
      return `M${x} ${middle}V${y + 3}`;
    case 'out':
      return `M${x} ${middle}V${y + LANE - 3}`;
    case 'open':
      return `M${x} ${y + 3}V${y + LANE - 3}M${x} ${y + 4}l6 4l-6 4z`;
    case 'close':
      return `M${x} ${y + 3}V${y + LANE - 3}M${x} ${y + 4}l-6 4l6 4z`;
    case 'bad':
      return `M${x - 5} ${middle - 5}l10 10M${x + 5} ${middle - 5}l-10 10`;
    default:
      return `M${x} ${y + 8}V${y + LANE - 8}`;
  }
}

customElements.define('timeline-picture', TimelinePicture);
