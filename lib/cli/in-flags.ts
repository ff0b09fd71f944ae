/** What the library's messages call an option, and its flag. A longer name comes before one that it begins with. */
export const FLAG_OF: ReadonlyMap<string, string> = new Map([
  ['another `name`', '--fresh'],
  ['`adopt`: none', '--adopt none'],
  ['`adopt`', '--adopt'],
  ['`columns` of the writer', '--output-columns'],
  ['`columns`', '--columns'],
  ['`comment`', '--comment'],
  ['`delimiter`', '--delimiter'],
  ['`dir`', '--state-dir'],
  ['`errors`', '--errors'],
  ['`header`', '--no-header'],
  ['`id`', '--id'],
  ['`ledger`', '--ledger'],
  ['`maxCost`', '--max-cost'],
  ['`maxInvalid`', '--max-invalid'],
  ['`output`', '--output'],
  ['`preflight`: false', '--no-preflight'],
  ['`price`', '--price IN,OUT'],
  ['`reuse`', '--reuse'],
  ['`readParquet(path)`', '--from parquet'],
  ['`settle`', '--settle'],
  ['`spread`', '--spread'],
  ['`writeJsonl`', '--to jsonl'],
  ['`parseFiles`', "--from files -i 'folder/*.pdf'"],
])

/** What the library's messages advise, and what a user of the program does instead. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['with `model`', 'with --model'],
  ['omit `canary`', 'resume'],
  ['set `stopOnUniformFailure: false`', 'resume'],
])

/**
 * A message with flags in place of the library's options. The program passes every text that may come from the library
 * through it, so that the library names only its own options.
 */
export function inFlags(message: string): string {
  let text = message
  for (const [name, flag] of [...FLAG_OF, ...ADVICE]) text = text.replaceAll(name, flag)
  return text
}
