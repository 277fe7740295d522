/**
 * The page of a drill. It knows the control protocol of docs/drill.md and nothing else. Whatever comes from the tester is text.
 * @typedef {import('../view.js').DrillState} DrillState
 * @typedef {import('../view.js').PortView} PortView
 * @typedef {{ port: string, seq: number, t: number, type: string, text: string, quiet?: true, event: Record<string, unknown> }} Shown
 * @typedef {{ name: string, help: string, confirm?: boolean }} Verb
 */
const PROTOCOL = 'vhost-reconnect.v1';
const KEPT = 2000;
const ROWS = 500;
const PICTURE_MS = 700;
const KEYS = { r: 'restart', d: 'down', u: 'up', s: 'stall', e: 'resume' };

/** @template {HTMLElement} T @param {string} id @returns {T} */
const at = (id) => /** @type {T} */ (document.getElementById(id));
/** @param {string} name @param {string} text @param {string} [className] */
const tag = (name, text, className = '') => {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
};
/** @param {number | undefined} value */
const ms = (value) =>
  value === undefined ? '' : value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`;
/** @param {number} t */
const clock = (t) => `+${(t / 1000).toFixed(3)}`;

const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
/** @type {WebSocket | undefined} */
let socket;
/** @type {DrillState | undefined} */
let state;
/** @type {Verb[]} */
let verbs = [];
/** @type {Shown[]} */
let events = [];
let selected = 'p0';
let requests = 0;
let wait = 500;
let drawn = 0;
let changed = true;
/** @type {Map<number, string>} */
const asked = new Map();

// --- the connection -----------------------------------------------------------------------------------------------------

function connect() {
  socket = new WebSocket(`ws://${location.host}/control`, [PROTOCOL, `token.${token}`]);
  let greeted = false;
  socket.onmessage = ({ data }) => {
    greeted = true;
    wait = 500;
    receive(JSON.parse(String(data)));
  };
  socket.onclose = ({ reason }) => {
    for (const verb of asked.values()) say(`${verb}: the connection was lost before the answer`, 'bad');
    asked.clear();
    const over = state?.over || reason === 'the drill is over';
    const why = over
      ? 'The drill is over'
      : token === ''
        ? 'No token: open the address that the tester printed'
        : greeted
          ? 'Not connected to the tester'
          : 'The tester does not let this page in, or does not run';
    at('lost').textContent = over ? `${why}.` : `${why}. Trying again …`;
    at('lost').hidden = false;
    document.body.classList.add('lost');
    setTimeout(connect, wait);
    wait = Math.min(5000, 2 * wait);
  };
}

/** @param {any} message */
function receive(message) {
  if (message.hello) greet(message.hello);
  else if (message.state) show(message.state);
  else if (message.events) take(message.events);
  else if (message.picture) picture(message.picture);
  else if (message.id !== undefined) answer(message);
}

/** @param {{ tester: string, verbs: Verb[], profiles: string[], ports: string[], unknown: string[] }} hello */
function greet(hello) {
  at('lost').hidden = true;
  document.body.classList.remove('lost');
  verbs = hello.verbs;
  events = [];
  at('log').replaceChildren();
  if (!hello.ports.includes(selected)) selected = hello.ports[0] ?? 'p0';
  const back = at('back');
  const chosen = /** @type {HTMLSelectElement} */ (back).value;
  const same = tag('option', 'the same');
  same.setAttribute('value', '');
  back.replaceChildren(same, ...hello.profiles.map((name) => tag('option', name)));
  /** @type {HTMLSelectElement} */ (back).value = hello.profiles.includes(chosen) ? chosen : '';
  at('limits').hidden = hello.unknown.length === 0;
  at('unknown').replaceChildren(...hello.unknown.map((text) => tag('li', text)));
  at('ports').replaceChildren(
    ...(hello.ports.length < 2 ? [] : hello.ports).map((name) => {
      const button = tag('button', name);
      button.onclick = () => choose(name);
      return button;
    }),
  );
  choose(selected);
}

/** @param {string} name */
function choose(name) {
  selected = name;
  for (const button of at('ports').children) button.setAttribute('aria-pressed', String(button.textContent === name));
  changed = true;
  if (state) show(state);
  relist();
}

// --- what is asked for --------------------------------------------------------------------------------------------------

/** @param {string} text @param {string} [tone] */
function say(text, tone = '') {
  at('said').textContent = text;
  at('said').className = tone;
}

/** @param {string} id */
const value = (id) => /** @type {HTMLInputElement} */ (at(id)).value.trim();

/** @param {string} verb @returns {unknown} */
function parameters(verb) {
  const profile = value('back');
  const back = profile === '' ? {} : { back: { profile } };
  switch (verb) {
    case 'restart':
      return { leave: value('leave'), away: value('away'), ...back };
    case 'up':
      return back;
    case 'flap':
      return { cycles: Number(value('cycles')), live: value('live') };
    case 'cut':
      return { at: value('cut') };
    case 'run':
      return { variant: value('variant') };
    case 'note':
      return { text: value('note') };
    default:
      return undefined;
  }
}

/** @param {string} verb @param {unknown} [params] */
function send(verb, params) {
  if (socket?.readyState !== WebSocket.OPEN) {
    say('Not connected: nothing was sent', 'bad');
    return;
  }
  const id = ++requests;
  const all = /** @type {HTMLInputElement} */ (at('all')).checked && verb !== 'picture';
  if (verb !== 'picture') {
    asked.set(id, verb);
    say(`${verb} …`);
  }
  socket.send(
    JSON.stringify({ id, verb, ...(all ? {} : { port: selected }), ...(params === undefined ? {} : { params }) }),
  );
}

/** @param {string} verb */
async function ask(verb) {
  const params = parameters(verb);
  const known = verbs.find(({ name }) => name === verb);
  if (
    known?.confirm &&
    !(await confirmed(`${verb} ${params === undefined ? '' : JSON.stringify(params)}: ${known.help}`))
  ) {
    say(`${verb}: not sent`);
    return;
  }
  send(verb, params);
}

/** @param {string} text */
function confirmed(text) {
  const dialog = /** @type {HTMLDialogElement} */ (at('confirm'));
  if (dialog.open) return Promise.resolve(false);
  const paragraph = dialog.querySelector('p');
  if (paragraph) paragraph.textContent = text;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }),
  );
}

/** @param {{ id: number, ok: boolean, error?: { message: string, hint?: string } }} message */
function answer({ id, ok, error }) {
  const verb = asked.get(id);
  asked.delete(id);
  if (verb === undefined) return;
  if (ok) say(`${verb}: done`, 'good');
  else say(`${error?.message ?? 'refused'}${error?.hint ? ` (${error.hint})` : ''}`, 'bad');
  if (ok && verb === 'note') /** @type {HTMLInputElement} */ (at('note')).value = '';
}

/** @param {string} what */
async function save(what) {
  const response = await fetch(`/export/${what}?port=${encodeURIComponent(selected)}`, {
    headers: { Authorization: `Bearer ${token}` },
  }).catch(() => undefined);
  if (!response?.ok) {
    say(`${what}: ${response ? await response.text() : 'the tester does not answer'}`, 'bad');
    return;
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await response.blob());
  link.download = what === 'report' ? 'drill-report.html' : `drill-${selected}.jsonl`;
  link.click();
  URL.revokeObjectURL(link.href);
  say(`${what}: saved as ${link.download}`, 'good');
}

// --- what is shown ------------------------------------------------------------------------------------------------------

/** @param {string} name @param {string} text @param {string} tone @param {string} [more] */
const tile = (name, text, tone, more = '') => {
  const element = tag('div', '', `tile ${tone}`);
  element.append(tag('small', name), tag('b', text), tag('small', more));
  return element;
};

/** @param {DrillState} next */
function show(next) {
  state = next;
  changed = true;
  const { vm } = next;
  const port = next.ports[selected];
  const gone = vm.state === 'gone';
  const crashed = gone && vm.exit?.asked === undefined;
  at('gone').hidden = !gone;
  at('gone').className = crashed ? 'bad' : '';
  if (gone) {
    const how =
      vm.exit?.signal ??
      (vm.exit?.code === null || vm.exit === undefined ? 'how is not known' : `exit code ${vm.exit.code}`);
    /** @type {HTMLElement} */ (at('gone').firstElementChild).textContent = crashed
      ? `QEMU IS GONE: ${how}`
      : 'QEMU is gone, as it was asked to';
    /** @type {HTMLElement} */ (at('gone').lastElementChild).textContent = (vm.evidence ?? []).join('\n');
  }
  document.title = `${gone ? 'QEMU GONE' : (port?.chardev ?? 'drill')} · drill`;
  const facts = [
    vm.version === undefined ? 'QEMU' : `QEMU ${vm.version}`,
    vm.pid === undefined ? 'process not known' : `process ${vm.pid}`,
    vm.how,
    vm.runState ?? '',
    `drill ${clock(next.now)} s`,
  ];
  at('vm').replaceChildren(...facts.filter((text) => text !== '').map((text) => tag('span', text)));
  if (port) showPort(port, next);
}

/** @param {PortView} port @param {DrillState} all */
function showPort(port, { vm, now }) {
  const chardevTone = { CONNECTED: 'good', CONNECTING: 'warn', DISCONNECTED: 'bad' }[port.chardev];
  const says =
    port.saysConnected === undefined
      ? 'QEMU was not asked'
      : `QEMU says ${port.saysConnected ? 'connected' : 'disconnected'}`;
  const { running, started } = port.rings;
  const pinged = port.pingAt === undefined ? undefined : now - port.pingAt;
  const silent = vm.silentForMs;
  const latency = vm.latencyMs === undefined ? 'not asked' : ms(vm.latencyMs);
  at('state').replaceChildren(
    tile('chardev', port.chardev, chardevTone, says),
    tile(
      `peer, role ${port.role}`,
      port.peer,
      port.peer === 'connected' ? 'good' : 'warn',
      `${port.profile}${port.cut ? `, leaves at ${port.cut}` : ''}${port.busy ? `, ${port.busy}` : ''}`,
    ),
    tile(
      'QEMU',
      vm.state,
      vm.state === 'running' ? 'good' : vm.state === 'gone' ? 'bad' : 'warn',
      vm.guest ? `guest ${vm.guest}` : '',
    ),
    tile(
      'QMP',
      silent === undefined ? latency : `silent ${ms(silent)}`,
      silent === undefined ? (vm.latencyMs === undefined ? '' : 'good') : 'bad',
    ),
    tile(
      'rings',
      running.length > 0 ? `${running.length} run` : 'none run',
      running.length > 0 ? 'good' : 'warn',
      `${started.length} started`,
    ),
    tile('link', port.link ?? 'not known', port.link === 'up' ? 'good' : port.link === 'down' ? 'bad' : ''),
    tile(
      'last ping',
      pinged === undefined ? 'none' : `${ms(pinged)} ago`,
      pinged === undefined ? '' : pinged < 2000 ? 'good' : 'bad',
      vm.troubles > 0 ? `${vm.troubles} complaints of the guest’s kernel` : '',
    ),
    tile('restarts', String(port.restartCount), ''),
  );
  showRestarts(port);
  showVerdicts(port);
}

/** @param {PortView} port */
function showRestarts({ restarts }) {
  const rows = restarts.toReversed().map((one) => {
    const row = document.createElement('tr');
    const cells = [
      String(one.number),
      `${clock(one.at)} s`,
      `${one.by}, ${one.how}`,
      ms(one.backMs),
      ms(one.ringsMs),
      ms(one.outageMs),
      one.lost === undefined ? '' : String(one.lost),
    ];
    row.append(...cells.map((text) => tag('td', text)));
    return row;
  });
  at('restarts')
    .querySelector('tbody')
    ?.replaceChildren(...rows);
  const most = Math.max(
    1,
    ...restarts.map(({ backMs = 0, ringsMs = 0, outageMs = 0 }) => Math.max(backMs, ringsMs, outageMs)),
  );
  const SVG = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 500 100');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `Outages of the last ${restarts.length} restarts, at most ${ms(most)}`);
  for (const [i, { backMs, ringsMs, outageMs }] of restarts.entries())
    for (const [k, [name, length]] of /** @type {[string, number | undefined][]} */ ([
      ['outage', outageMs],
      ['rings', ringsMs],
      ['away', backMs],
    ]).entries()) {
      if (length === undefined) continue;
      const bar = document.createElementNS(SVG, 'rect');
      const height = Math.max(1, (95 * length) / most);
      for (const [key, number] of Object.entries({ x: 10 * i + 3 * k, y: 100 - height, width: 2.6, height }))
        bar.setAttribute(key, String(number));
      bar.setAttribute('class', name);
      const title = document.createElementNS(SVG, 'title');
      title.textContent = `${name} ${ms(length)}`;
      bar.append(title);
      svg.append(bar);
    }
  at('plot').replaceChildren(...(restarts.length === 0 ? [tag('p', 'none yet')] : [svg]));
}

/** @param {PortView} port */
function showVerdicts({ verdicts = [] }) {
  const order = { break: 0, hold: 1, 'not-applicable': 2 };
  const list = verdicts
    .filter(({ outcome }) => outcome !== 'not-applicable')
    .toSorted((a, b) => order[a.outcome] - order[b.outcome]);
  const items = list.map(({ requirement, title, outcome, seen, level }) => {
    const item = tag('li', '', outcome === 'break' ? (level === 'must' ? 'bad' : 'warn') : '');
    item.append(
      tag('b', `${outcome === 'break' ? '✕' : '✓'} ${requirement} `),
      `${title}${outcome === 'break' ? `: ${seen}` : ''}`,
    );
    item.title = seen;
    return item;
  });
  at('verdicts').replaceChildren(...(items.length === 0 ? [tag('li', 'nothing judged yet')] : items));
}

/** @param {{ port: string, drawing: unknown }} picture */
function picture({ port, drawing }) {
  if (port === selected) /** @type {any} */ (at('picture')).show(drawing);
}

// --- events -------------------------------------------------------------------------------------------------------------

/** @param {Shown} shown */
function wanted({ port, type, text, quiet }) {
  if (port !== selected || quiet) return false;
  const words = value('filter')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  return words.every((word) => text.toLowerCase().includes(word) || type.includes(word));
}

/** @param {Shown} shown */
function row(shown) {
  const item = tag('button', `${clock(shown.t)}  ${shown.text}`);
  item.tabIndex = -1;
  item.setAttribute('type', 'button');
  item.onclick = () => inspect(shown, item);
  return item;
}

/** @param {Shown[]} news */
function take(news) {
  changed = true;
  events.push(...news);
  if (events.length > KEPT) events = events.slice(-KEPT);
  const log = at('log');
  log.append(...news.filter(wanted).map(row));
  trim();
}

function relist() {
  at('log').tabIndex = 0;
  at('log').replaceChildren(...events.filter(wanted).slice(-ROWS).map(row));
  trim();
}

function trim() {
  const log = at('log');
  const follow = /** @type {HTMLInputElement} */ (at('follow')).checked;
  // Who reads further up is not to lose the place.
  while (log.childElementCount > (follow ? ROWS : 2 * ROWS)) log.firstElementChild?.remove();
  if (follow) log.scrollTop = log.scrollHeight;
}

/** @param {Shown} shown @param {HTMLElement} item */
function inspect(shown, item) {
  for (const other of at('log').querySelectorAll('[aria-current]')) other.removeAttribute('aria-current');
  item.setAttribute('aria-current', 'true');
  const rows = fields('', shown.event).map(([name, text]) => {
    const line = document.createElement('tr');
    line.append(tag('th', name), tag('td', text));
    return line;
  });
  at('inspector').hidden = false;
  at('inspector')
    .querySelector('tbody')
    ?.replaceChildren(...rows);
}

/** @param {string} name @param {unknown} given @returns {[string, string][]} */
function fields(name, given) {
  if (given === null || typeof given !== 'object') return [[name, String(given)]];
  return Object.entries(given).flatMap(([key, inner]) => fields(name === '' ? key : `${name}.${key}`, inner));
}

// --- the hands ----------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll('[data-verb]'))
  button.addEventListener('click', () => void ask(/** @type {HTMLElement} */ (button).dataset.verb ?? ''));
for (const button of document.querySelectorAll('[data-export]'))
  button.addEventListener('click', () => void save(/** @type {HTMLElement} */ (button).dataset.export ?? ''));
at('actions').onsubmit = (event) => event.preventDefault();
at('note').onkeydown = ({ key }) => {
  if (key === 'Enter') void ask('note');
};
at('filter').oninput = relist;
at('follow').onchange = trim;
at('log').addEventListener('wheel', ({ deltaY }) => {
  if (deltaY < 0) /** @type {HTMLInputElement} */ (at('follow')).checked = false;
});
at('log').onkeydown = (event) => {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  event.preventDefault();
  const current = at('log').querySelector('[aria-current]') ?? at('log').lastElementChild;
  const next = event.key === 'ArrowDown' ? current?.nextElementSibling : current?.previousElementSibling;
  /** @type {HTMLInputElement} */ (at('follow')).checked = false;
  if (next instanceof HTMLElement) {
    next.click();
    next.scrollIntoView({ block: 'nearest' });
  }
};
document.addEventListener('keydown', (event) => {
  const { target, key, ctrlKey, metaKey, altKey } = event;
  if (
    ctrlKey ||
    metaKey ||
    altKey ||
    (target instanceof HTMLElement && target.matches('input, select, textarea, dialog *'))
  )
    return;
  if (key === 'n') {
    event.preventDefault();
    at('note').focus();
    return;
  }
  const verb = KEYS[/** @type {keyof typeof KEYS} */ (key)];
  if (verb) void ask(verb);
});
setInterval(() => {
  if (document.hidden || !changed || socket?.readyState !== WebSocket.OPEN || performance.now() - drawn < PICTURE_MS)
    return;
  changed = false;
  drawn = performance.now();
  send('picture');
}, PICTURE_MS / 2);
connect();
