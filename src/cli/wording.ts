import { didYouMean } from '../cases/index.js';
import { tester } from './package.js';
import { UsageError } from './usage-error.js';

/** What yargs knows in the command that failed. */
export interface Known {
  options: readonly string[];
  commands: readonly string[];
}

/** A complaint of yargs in our words, with the option as it is typed and the one that may have been meant. */
export function usageError(complaint: string, args: readonly string[], known: Known): UsageError {
  const message = complaint.replace(/\s*\n\s*/g, ' ').trim();
  const [, unknown] = /^Unknown (?:argument|command)s?: ([^,]*)/.exec(message) ?? [];
  if (unknown !== undefined) return unknownError(unknown, args, known);
  const [, argument, given, choices] = /Argument: (\S+), Given: (.*), Choices: (.*)$/.exec(message) ?? [];
  if (argument !== undefined)
    return new UsageError('ERR_USAGE', `--${argument} takes one of ${choices!.replaceAll('"', '')}, not ${given}`);
  const [, lacking] = /^Not enough arguments following: (\S+)/.exec(message) ?? [];
  if (lacking !== undefined) return new UsageError('ERR_USAGE', `--${lacking} needs a value`, help(known));
  if (message.startsWith('Not enough non-option arguments'))
    return new UsageError('ERR_USAGE', 'an argument is missing', help(known));
  // What our own options complain of says enough.
  return new UsageError('ERR_USAGE', message, message.startsWith('--') ? undefined : help(known));
}

function unknownError(name: string, args: readonly string[], known: Known): UsageError {
  const option = args.find((arg) => arg.startsWith('-') && arg.replace(/^-+/, '').split('=')[0] === name);
  if (option !== undefined) {
    const near = didYouMean(name, known.options)?.replace(/(mean|or) /g, '$1 --');
    return new UsageError('ERR_USAGE', `there is no option ${option.split('=')[0]}`, near ?? help(known));
  }
  if (known.commands.length === 0) return new UsageError('ERR_USAGE', `${name} is one argument too many`, help(known));
  return new UsageError('ERR_USAGE', `there is no command ${name}`, didYouMean(name, known.commands) ?? help(known));
}

const help = ({ commands }: Known) =>
  commands.length > 0 ? `see ${tester.name} --help` : 'add --help to see what it takes';
