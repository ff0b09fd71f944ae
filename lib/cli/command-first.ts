import { OPTIONS, type OptionSpec } from './options.ts'

/** Moves the command to the front if flags come before it: `--state-dir DIR status`. */
export function commandFirst(
  words: readonly string[],
  commands: readonly string[],
): readonly string[] {
  let at = 0
  for (let next = words[0]; next?.startsWith('-') && next !== '--'; next = words[at]) {
    at += 1
    const spec = specWithValue(next)
    // As in parsing, a flag with several values takes all words up to the next flag.
    if (spec?.many) while (words[at]?.startsWith('-') === false) at += 1
    else if (spec && !(spec.maybe && words[at]?.startsWith('-'))) at += 1
  }
  const word = words[at]
  if (word === undefined || !commands.includes(word)) return words
  return [word, ...words.toSpliced(at, 1)]
}

/** The flag whose value is the next word: `--model`, `-m` or `-qm`, but not `--model=x` or `-mx`. */
function specWithValue(word: string): OptionSpec | undefined {
  const takesValue = ({ arg, negative }: OptionSpec): boolean =>
    arg !== undefined && negative !== true
  if (word.startsWith('--'))
    return OPTIONS.find(spec => takesValue(spec) && `--${spec.name}` === word)
  for (let at = 1; at < word.length; at += 1) {
    const found = OPTIONS.find(spec => takesValue(spec) && spec.short === word[at])
    if (found) return at === word.length - 1 ? found : undefined
  }
  return undefined
}
