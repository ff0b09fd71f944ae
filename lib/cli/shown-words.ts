/** A ledger's URL without its password. */
export function withoutPassword(url: string): string {
  return url
    .replace(/^(postgres(?:ql)?:\/\/[^:@/?#]*):.*@/, '$1@')
    .replaceAll(/([?&]password=)[^&]*/g, '$1***')
}

/** The words of a command without secrets, to show and remember. */
export function shownWords(words: readonly string[]): string[] {
  return words.map(word =>
    word.startsWith('--ledger=')
      ? `--ledger=${withoutPassword(word.slice('--ledger='.length))}`
      : withoutPassword(word),
  )
}
