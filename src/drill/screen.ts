import { stripVTControlCharacters } from 'node:util';
import { clip, formatMs, type Paint, printable } from '../report/index.js';
import type { DrillState, PortView } from './view.js';

/** What a terminal shows besides the state. */
export interface ScreenView {
  state: DrillState | undefined;
  /** The port that is shown, and that keys act on. */
  port: string;
  /** Lines of the log, oldest first. */
  log: readonly string[];
  /** What is being asked or typed, or what came of the last verb. */
  said: string;
  columns: number;
  rows: number;
}

const HELP = 'r restart  d down  u up  s stall  e resume  n note  : verb  1-9 port  q end';
/** Rows of a port's history that are shown. */
const RESTARTS = 5;

/** The screen of a drill, one text a row, never more than there is room for. */
export function renderScreen(view: ScreenView, paint: Paint): string[] {
  const { state, port, log, said, columns, rows } = view;
  const shown = state?.ports[port];
  const top = state && shown ? [...vmLines(state, paint), ...portLines(shown, state, paint)] : ['connecting …'];
  const bottom = [printable(said), HELP];
  const room = Math.max(0, rows - top.length - bottom.length - 1);
  const lines = [...top, '', ...(room === 0 ? [] : log.slice(-room)), ...bottom];
  return lines.slice(0, rows).map((line) => trimmed(line, columns));
}

/** Colours take no room: a line that has some is measured without. */
function trimmed(line: string, columns: number): string {
  return stripVTControlCharacters(line).length <= columns ? line : clip(stripVTControlCharacters(line), columns);
}

function vmLines({ vm, now }: DrillState, paint: Paint): string[] {
  const { exit } = vm;
  if (exit?.asked !== undefined) return [paint.warn('QEMU is gone, as it was asked to: begin another drill')];
  if (exit) {
    const how = exit.signal ?? (exit.code === null ? 'how is not known' : `exit code ${exit.code}`);
    return [
      `${paint.bad(`QEMU IS GONE: ${how}`)}  begin another drill`,
      ...(vm.evidence ?? []).slice(0, 6).map((line) => `  ${printable(line)}`),
    ];
  }
  const qmp =
    vm.silentForMs === undefined
      ? vm.latencyMs === undefined
        ? 'QMP not asked'
        : `QMP ${formatMs(vm.latencyMs)}`
      : paint.bad(`QMP silent for ${formatMs(vm.silentForMs)}`);
  const facts = [
    `QEMU ${vm.version ?? ''} ${vm.state}`,
    vm.pid === undefined ? 'process not known' : `process ${vm.pid}`,
    vm.runState ?? '',
    qmp,
    vm.guest ? `guest ${vm.guest}` : '',
    `+${(now / 1000).toFixed(1)} s`,
  ];
  return [facts.filter((fact) => fact !== '').join('  ')];
}

function portLines(port: PortView, { now }: DrillState, paint: Paint): string[] {
  const colour = { CONNECTED: paint.good, CONNECTING: paint.warn, DISCONNECTED: paint.bad }[port.chardev];
  const ping = port.pingAt === undefined ? 'no ping' : `last ping ${formatMs(now - port.pingAt)} ago`;
  const broken = (port.verdicts ?? []).filter(({ outcome }) => outcome === 'break');
  return [
    [
      `${port.port} role ${port.role}`,
      colour(port.chardev),
      `peer ${port.peer}`,
      `rings ${port.rings.running.length}`,
      `link ${port.link ?? 'not known'}`,
      ping,
      port.busy === undefined ? '' : `at it: ${port.busy}`,
      port.cut === undefined ? '' : `leaves at ${port.cut}`,
    ]
      .filter((fact) => fact !== '')
      .join('  '),
    ...port.restarts.slice(-RESTARTS).map(({ number, how, backMs, ringsMs, outageMs, lost }) => {
      const times = [
        ['back', backMs],
        ['rings', ringsMs],
        ['outage', outageMs],
      ].map(([name, time]) => `${name} ${time === undefined ? '-' : formatMs(time as number)}`);
      return `  restart ${number} (${printable(how)}): ${times.join(', ')}, lost ${lost ?? '-'}`;
    }),
    ...broken.map(({ requirement, title, seen }) => paint.bad(`✕ ${requirement} ${title}: ${printable(seen)}`)),
  ];
}
