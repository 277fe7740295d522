import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, type Ending, failed, run, type Surroundings } from './commands.js';
import { Trouble } from './trouble.js';

/** A source package of the distribution. */
export interface SourcePackage {
  /** Such as `qemu`. */
  name: string;
  /** Such as `1:7.2+dfsg-7+deb12u18`. */
  version: string;
}

/** The binary package whose source is built. */
const BINARY = 'qemu-system-x86';

/** The source of the installed QEMU. @throws Trouble */
export async function installedSource(): Promise<SourcePackage> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholders
  const format = '${db:Status-Status} ${source:Package} ${source:Version}\\n';
  const answer = await ask('dpkg-query', '--show', `--showformat=${format}`, BINARY);
  if (!answer)
    throw new Trouble(
      'there is no dpkg-query: this is not Debian, nor made from it',
      "the source of the distribution's QEMU is fetched with apt; use a Debian or Ubuntu machine or container",
    );
  const [, name, version] = /^installed (\S+) (\S+)$/m.exec(answer.text) ?? [];
  if (name === undefined || version === undefined)
    throw new Trouble(`${BINARY} is not installed`, 'make setup installs it');
  return { name, version };
}

/** Makes the one-line style speak of sources: `deb` lines become `deb-src`, and there once. */
export function sourceLines(list: string): string {
  const lines = list.split('\n').map((line) => line.replace(/^\s*deb(?=[\s[])/, 'deb-src').trimEnd());
  return [...new Set(lines)].join('\n');
}

/** Makes the deb822 style speak of sources. */
export function sourceStanzas(sources: string): string {
  return sources.replace(/^Types[ \t]*:.*$/gim, 'Types: deb-src');
}

/**
 * Copies the host's package sources to a folder, as sources of source packages: its mirrors, keys and options are kept.
 * @throws Trouble when there are none
 */
async function copySources(to: string): Promise<void> {
  const answer = await ask('apt-config', 'shell', 'LIST', 'Dir::Etc::sourcelist/f', 'PARTS', 'Dir::Etc::sourceparts/d');
  if (!answer) throw new Trouble('there is no apt-config', 'the source is fetched with apt');
  const place = (name: string) => new RegExp(`^${name}='(.*)'$`, 'm').exec(answer.text)?.[1] ?? '';
  const parts = place('PARTS');
  const names = await readdir(parts).catch(() => []);
  // A name that no part has: apt reads parts by their extension.
  const files = [[place('LIST'), 'main-list.list'], ...names.map((name) => [join(parts, name), name])] as [
    string,
    string,
  ][];
  let count = 0;
  for (const [path, name] of files) {
    const change = { list: sourceLines, sources: sourceStanzas }[/\.(list|sources)$/.exec(name)?.[1] ?? ''];
    const text = change && (await readFile(path, 'utf8').catch(() => undefined));
    if (text === undefined) continue;
    await writeFile(join(to, name), change!(text));
    count++;
  }
  if (count === 0) throw new Trouble('apt has no package sources', 'see man sources.list');
}

/** An apt of its own: it reads what the host trusts and how it reaches the network, and writes below `dir` only. */
function aptConfiguration(dir: string): string {
  return [
    // Hooks of the host, such as the cleaning of its own cache, are not for this apt.
    '#clear APT::Update;',
    '#clear DPkg;',
    `Dir::State "${dir}/state";`,
    `Dir::State::status "${dir}/status";`,
    `Dir::Cache "${dir}/cache";`,
    'Dir::Etc::sourcelist "/dev/null";',
    `Dir::Etc::sourceparts "${dir}/sources";`,
    // The folders belong to who runs this.
    'APT::Sandbox::User "root";',
    'APT::Get::AllowUnauthenticated "false";',
    'APT::Get::Assume-Yes "true";',
    'Acquire::Languages "none";',
    '',
  ].join('\n');
}

/**
 * Fetches and unpacks a source package, its hash checked by apt against the signed index of the archive.
 * @param to the folder to make; it is there whole or not at all
 * @throws Trouble, Interrupted
 */
export async function fetchSource(source: SourcePackage, to: string, surroundings: Surroundings): Promise<void> {
  const dir = `${to}.fetch`;
  await rm(dir, { recursive: true, force: true });
  try {
    for (const name of ['state/lists/partial', 'cache/archives/partial', 'sources', 'package'])
      await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, 'status'), '');
    await writeFile(join(dir, 'apt.conf'), aptConfiguration(dir));
    await copySources(join(dir, 'sources'));
    await download(source, dir, surroundings);
    const name = (await readdir(join(dir, 'package'))).find((entry) => entry.endsWith('.dsc'));
    if (name === undefined) throw new Trouble(`apt fetched no .dsc of ${source.name}`, `see ${surroundings.log}`);
    const argv = ['dpkg-source', '--extract', join('package', name), 'unpacked'] as const;
    const unpacked = await run({ task: 'unpacking the source', argv, cwd: dir }, surroundings);
    if (unpacked.code !== 0) throw failed('dpkg-source could not unpack the source', unpacked, surroundings);
    await rename(join(dir, 'unpacked'), to);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function download({ name, version }: SourcePackage, dir: string, surroundings: Surroundings): Promise<void> {
  const apt = (task: string, ...args: string[]) =>
    run(
      { task, argv: ['apt-get', '--config-file', join(dir, 'apt.conf'), ...args], cwd: join(dir, 'package') },
      surroundings,
    );
  // Some package source of the host may have no source packages, or be down. What counts is whether QEMU is found.
  const update = await apt('reading the package index', '--quiet', 'update');
  const source = `${name}=${version}`;
  const fetched = await apt('fetching the source', '--quiet', '--only-source', '--download-only', 'source', source);
  if (fetched.code === 0) return;
  const unreachable = ({ lines }: Ending) => lines.find((line) => /^[WE]: Failed to fetch/.test(line))?.slice(3);
  const offered = await ask('apt-cache', '--config-file', join(dir, 'apt.conf'), 'showsrc', '--only-source', name);
  const versions = [...new Set([...(offered?.text ?? '').matchAll(/^Version: (\S+)$/gm)].map((match) => match[1]))];
  const unread = unreachable(update);
  const trouble = unreachable(fetched) ?? (versions.length === 0 ? unread : undefined);
  if (trouble !== undefined)
    throw new Trouble(`apt cannot reach the package archive: ${trouble}`, 'check the network and the proxy of apt');
  if (versions.includes(version)) throw failed('apt could not fetch the source', fetched, surroundings);
  if (versions.length === 0)
    throw new Trouble(
      `no package source of apt has the source ${name}`,
      `the one that the installed QEMU came from must be among them: see apt-cache policy ${BINARY}`,
    );
  throw new Trouble(
    `the archive has no source ${name} ${version}, which is installed; it has ${versions.join(', ')}`,
    unread === undefined
      ? `bring the installed QEMU up to date: apt-get install ${BINARY}`
      : `not all of the archive could be read: ${unread}`,
  );
}
