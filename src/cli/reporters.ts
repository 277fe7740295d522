import { registry } from '../contract/index.js';
import { ConsoleReporter, FileReporter, GithubReporter, HtmlReporter } from '../report/index.js';
import type { Reporter } from '../runner/index.js';
import type { Io } from './io.js';

/** Who is told of a run. `quiet`: nothing is said on the terminal before the summary. */
export function reporters(io: Io, quiet: boolean): Reporter[] {
  return [
    new FileReporter(registry),
    new HtmlReporter(registry),
    ...(io.env.GITHUB_ACTIONS === 'true' ? [new GithubReporter(io.stdout, registry, io.env.GITHUB_STEP_SUMMARY)] : []),
    // Last: its summary says that the reports are there.
    new ConsoleReporter({ ...io, contract: registry, quiet }),
  ];
}
