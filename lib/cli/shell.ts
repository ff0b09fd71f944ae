/** A word as a shell reads it back. Control characters take the $'...' of bash and zsh, so that the line stays one line. */
export function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(word)) return `'${word.replaceAll("'", `'\\''`)}'`
  const escaped = word
    .replaceAll(/[\\']/g, '\\$&')
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, character =>
      [...Buffer.from(character)].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
    )
  return `$'${escaped}'`
}

/** A command line that can be copied as it is. */
export function commandLine(words: readonly string[]): string {
  return ['claude-batch-stream', ...words].map(quote).join(' ')
}
