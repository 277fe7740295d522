import { main } from '../../src/cli/cli.js';
import type { Io } from '../../src/cli/io.js';
import { settingNames } from '../../src/cli/settings.js';

/** What a command says of itself with --help, a line for each thing. */
async function helpOf(...command: string[]): Promise<string> {
  let text = '';
  const stdout = { write: (part: string) => (text += part), isTTY: true, columns: 400 };
  const io: Io = { stdout, stderr: stdout, env: {}, cwd: '/', onInterrupt: () => () => {}, exitNow: () => {} };
  await main([...command, '--help'], io);
  return text;
}

interface Help {
  usage: string;
  about: string;
  /** By heading: what stands below it, as names and words. */
  sections: Map<string, [name: string, words: string][]>;
  epilogue: string[];
}

function parse(text: string): Help {
  const [usage = '', about = '', ...blocks] = text.trim().split('\n\n');
  const sections = new Map<string, [string, string][]>();
  const epilogue: string[] = [];
  for (const block of blocks) {
    const [heading = '', ...lines] = block.split('\n');
    if (!heading.endsWith(':')) epilogue.push(...block.split('\n'));
    else
      sections.set(
        heading.slice(0, -1),
        lines.map((line) => {
          const [name = '', ...words] = line.trim().split(/ {2,}/);
          return [name, words.join(' ')];
        }),
      );
  }
  return { usage, about, sections, epilogue };
}

/** Text as roff takes it: hyphens that are meant as such, and no line that is a request by accident. */
const roff = (text: string) =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
const bold = (text: string) => `\\fB${roff(text)}\\fR`;
const terms = (list: readonly [string, string][]) => list.flatMap(([name, words]) => ['.TP', bold(name), roff(words)]);

/** The options that every command has; they are told once. */
const common = ['--help', '--version', '--config', '--log', '--log-level'];

/** The manual page of section 1, made of what the commands say of themselves. */
export async function manPage(version: string): Promise<string> {
  const whole = parse(await helpOf());
  const commands = whole.sections.get('Commands')!.map(([name, words]) => ({ name, words }));
  const parts = await Promise.all(
    commands.map(async ({ name, words }) => {
      const { sections } = parse(await helpOf(name.split(' ')[1]!));
      const options = (sections.get('Options') ?? []).filter(([option]) => !common.includes(option));
      const examples = sections.get('Examples') ?? [];
      return [
        `.SS ${roff(name)}`,
        roff(`${words}.`),
        ...terms([...(sections.get('Positionals') ?? []), ...options]),
        ...(examples.length > 0 ? ['.PP', 'Examples:', ...terms(examples)] : []),
      ];
    }),
  );
  return `${[
    '.\\" Made of what the commands say with --help: UPDATE_MAN=1 npx vitest run test/cli/man-page.test.ts',
    `.TH VHOST\\-RECONNECT 1 "" "vhost\\-reconnect ${version}" "User Commands"`,
    '.SH NAME',
    'vhost\\-reconnect \\- tests how QEMU takes it when its vhost\\-user back\\-end leaves and returns',
    '.SH SYNOPSIS',
    `${bold('vhost-reconnect')} \\fIcommand\\fR [\\fIargument\\fR...] [\\fIoption\\fR...]`,
    '.SH DESCRIPTION',
    roff(
      'A mock vhost-user peer that behaves like OVS-DPDK connects to a real QEMU, leaves and returns on schedule. What QEMU then does is recorded and judged by a written contract: it survives, reconnects as it should, and traffic flows again.',
    ),
    '.SH COMMANDS',
    ...parts.flat(),
    '.SH COMMON OPTIONS',
    ...terms(whole.sections.get('Options')!),
    '.SH EXIT STATUS',
    ...terms(
      whole.epilogue
        .find((line) => line.startsWith('Exit codes: '))!
        .replace(/^Exit codes: |\.$/g, '')
        .split(', ')
        .map((part) => [part.split(' ')[0]!, part.split(' ').slice(1).join(' ')]),
    ),
    '.SH FILES',
    ...terms([
      [
        'vhost-reconnect.config.json, vhost-reconnect.config.yaml',
        `In the working directory: ${settingNames.join(', ')}.`,
      ],
      ['reports/', 'A folder for each run: results.json, junit.xml, report.tap, ctrf.json, report.html, timelines/.'],
    ]),
    '.SH ENVIRONMENT',
    ...terms([['VHOST_RECONNECT_*', 'The same options: VHOST_RECONNECT_QEMU, VHOST_RECONNECT_JOBS and so on.']]),
  ].join('\n')}\n`;
}
