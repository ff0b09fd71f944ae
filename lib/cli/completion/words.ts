import { COMMANDS, OTHERS } from '../help.ts'
import type { CommandName, OptionSpec } from '../options.ts'
import { TOPICS } from '../topics.ts'

/** What prints the names of jobs. */
export const JOB_NAMES = "claude-batch-stream list 2>/dev/null | cut -d ' ' -f 1"

export const NAMED: readonly CommandName[] = Object.keys(COMMANDS)
  // The keys of that table are these very names.
  .map(name => name as CommandName)

/** Commands that take the name of a job. */
export const OF_JOBS: readonly CommandName[] = NAMED.filter(name =>
  / \[?JOB/.test(COMMANDS[name].words),
)

/** All words that may come first, with what each is for. */
export const FIRST: readonly (readonly [string, string])[] = [
  ...NAMED.map(name => [name, COMMANDS[name].help] as const),
  ...OTHERS.map(({ words, help }) => [words.replace(/ .*/, ''), help] as const),
]

/** What `help` takes. */
export const HELP_WORDS: readonly string[] = [...new Set([...Object.keys(TOPICS), ...NAMED])]

/** A flag's spellings, the short one first. */
export function spellings({ name, short, negative }: OptionSpec): string[] {
  const long = `--${negative ? 'no-' : ''}${name}`
  return short === undefined ? [long] : [`-${short}`, long]
}

/** The values that are offered for a flag; none where it takes any text. */
export function valuesOf({ choices, values }: OptionSpec): readonly string[] {
  return choices ?? values?.() ?? []
}

/** Does it take the name of a file or folder? */
export function takesFile({ arg = '' }: OptionSpec): boolean {
  return /^(FILE|DIR)/.test(arg)
}
