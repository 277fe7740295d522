import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, type Ending, failed, run, type Surroundings } from '../mutants/commands.js';
import { Trouble } from '../mutants/trouble.js';

/** What signs Debian's archive. It comes with the package debian-archive-keyring, on other distributions too. */
export const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const DEFAULT_MIRROR = 'http://deb.debian.org/debian';

/** The archive could not be asked; what was unpacked before can still be used. */
export class Unreachable extends Trouble {}

/** The mirror of Debian that the host is set up for, or Debian's own. @throws Trouble without apt */
export async function hostMirror(): Promise<string> {
  const answer = await ask('apt-get', 'indextargets', '--format', '$(ORIGIN) $(SITE)', 'Created-By: Packages');
  if (!answer) throw new Trouble('there is no apt-get', 'the matrix fetches packages with apt: use Debian or Ubuntu');
  return /^Debian (\S+\/debian)\/?$/m.exec(answer.text)?.[1] ?? DEFAULT_MIRROR;
}

/**
 * An apt of its own for one release: it reads how the host reaches the network, and knows, writes and locks nothing but
 * what is below `dir`. For it nothing is installed, so that it fetches everything that a package needs.
 */
export class PrivateApt {
  private constructor(
    private readonly dir: string,
    private readonly suite: string,
    private readonly surroundings: Surroundings,
  ) {}

  /** @param dir of the release in the cache; what apt has read before is kept there */
  static async make(dir: string, suite: string, mirror: string, keyring: string, surroundings: Surroundings) {
    for (const name of ['state/lists/partial', 'cache/archives/partial'])
      await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, 'status'), '');
    await writeFile(join(dir, 'sources.list'), `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`);
    await writeFile(join(dir, 'apt.conf'), configuration(dir));
    return new PrivateApt(dir, suite, surroundings);
  }

  /** Reads the release's index, its signature checked. @throws Unreachable, Trouble, Interrupted */
  async update(): Promise<void> {
    const { code, lines } = await this.#apt(`reading the index of ${this.suite}`, 'update');
    if (code === 0) return;
    const line = (pattern: RegExp) => lines.find((text) => pattern.test(text))?.trim();
    const gone = line(/does not have a Release file/) ?? line(/404 +Not Found/);
    if (gone !== undefined)
      throw new Unreachable(
        `the mirror has no ${this.suite}: ${gone}`,
        `old releases move to http://archive.debian.org/debian: --mirror ${this.suite}=URL`,
      );
    const unsigned = line(/NO_PUBKEY|signatures were invalid|couldn't be verified/i);
    if (unsigned !== undefined)
      throw new Trouble(
        `the index of ${this.suite} is not trusted: ${unsigned}`,
        'is debian-archive-keyring up to date?',
      );
    throw this.#refusal(`cannot read the index of ${this.suite}`, { code, lines });
  }

  /** The version that the release has of a package. @throws Trouble */
  async candidate(name: string): Promise<string> {
    const answer = await ask('apt-cache', '--config-file', join(this.dir, 'apt.conf'), 'policy', name);
    const version = /^ *Candidate: (\S+)$/m.exec(answer?.text ?? '')?.[1];
    if (version === undefined || version === '(none)')
      throw new Trouble(`${this.suite} has no package ${name}`, 'is this machine of an architecture that Debian has?');
    return version;
  }

  /** Fetches a package and all that it needs. @param to the folder for the `.deb` files @throws as update() */
  async download(name: string, to: string): Promise<void> {
    await mkdir(join(to, 'partial'), { recursive: true });
    const ending = await this.#apt(
      `fetching ${name} of ${this.suite}`,
      '-o',
      `Dir::Cache::archives=${to}`,
      '--download-only',
      'install',
      name,
    );
    if (ending.code !== 0) throw this.#refusal(`cannot fetch ${name} of ${this.suite}`, ending);
  }

  #apt(task: string, ...args: string[]): Promise<Ending> {
    const argv = ['apt-get', '--quiet', '--config-file', join(this.dir, 'apt.conf'), ...args] as const;
    return run({ task, argv: [...argv], cwd: this.dir }, this.surroundings);
  }

  #refusal(what: string, ending: Ending): Trouble {
    const line = ending.lines.find((text) =>
      /Failed to fetch|Could not (connect|resolve)|failure resolving/.test(text),
    );
    if (line === undefined) return failed(what, ending, this.surroundings);
    return new Unreachable(`${what}: ${line.trim()}`, 'check the network and the proxy of apt; nothing was changed');
  }
}

const configuration = (dir: string): string =>
  [
    // Hooks of the host, such as the cleaning of its own cache, are not for this apt.
    '#clear APT::Update;',
    '#clear DPkg;',
    `Dir::State "${dir}/state";`,
    `Dir::State::status "${dir}/status";`,
    `Dir::Cache "${dir}/cache";`,
    `Dir::Etc::sourcelist "${dir}/sources.list";`,
    'Dir::Etc::sourceparts "/dev/null";',
    'Dir::Etc::preferences "/dev/null";',
    'Dir::Etc::preferencesparts "/dev/null";',
    // The folders belong to who runs this.
    'APT::Sandbox::User "root";',
    'APT::Get::AllowUnauthenticated "false";',
    'APT::Get::Assume-Yes "true";',
    'APT::Install-Recommends "false";',
    // An index that cannot be read is an error, not a reason to go on with an old one.
    'APT::Update::Error-Mode "any";',
    'Acquire::Languages "none";',
    '',
  ].join('\n');
