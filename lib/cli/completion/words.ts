import { COMMANDS, OTHERS } from '../help.ts'
import type { CommandName, OptionSpec } from '../options.ts'
import { TOPICS } from '../topics.ts'

/** The command that prints job names. */
export const JOB_NAMES = "claude-batch-stream list 2>/dev/null | cut -d ' ' -f 1"

export const NAMED: readonly CommandName[] = Object.keys(COMMANDS)
  // The table's keys are exactly the command names.
  .map(name => name as CommandName)

/** Commands that take a job name. */
export const OF_JOBS: readonly CommandName[] = NAMED.filter(name =>
  / \[?JOB/.test(COMMANDS[name].words),
)

/** All first words, with a description of each. */
export const FIRST: readonly (readonly [string, string])[] = [
  ...NAMED.map(name => [name, COMMANDS[name].help] as const),
  ...OTHERS.map(({ words, help }) => [words.replace(/ .*/, ''), help] as const),
]

/** Arguments of `help`. */
export const HELP_WORDS: readonly string[] = [...new Set([...Object.keys(TOPICS), ...NAMED])]

/** The spellings of a flag, the short one first. */
export function spellings({ name, short, negative }: OptionSpec): string[] {
  const long = `--${negative ? 'no-' : ''}${name}`
  return short === undefined ? [long] : [`-${short}`, long]
}

/** The completed values of a flag; none if it takes any text. */
export function valuesOf({ choices, values }: OptionSpec): readonly string[] {
  return choices ?? values?.() ?? []
}

/** Whether a flag takes the name of a job, or one of its values. */
export function takesJob({ arg = '' }: OptionSpec): boolean {
  return arg.split('|').includes('JOB')
}

/** Whether a flag takes a file or folder. */
export function takesFile({ arg = '' }: OptionSpec): boolean {
  return /^(FILE|DIR)/.test(arg)
}
