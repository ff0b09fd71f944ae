import { secretsIn as secretsInHeaders } from '../api/secret-headers.ts'
import { secretForms, withoutKeys, withoutSecrets } from '../core/without-keys.ts'

/** Control characters, and those that turn the direction of text around, with which a message can show what it does not say. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

/** Text without control characters, on one line. Each pattern takes linear time, since the text may be untrusted. */
export function printable(text: string): string {
  const lines = text.split(/[\r\n]+/)
  const joined = lines.length === 1 ? text : lines.flatMap(line => line.trim() || []).join(' ')
  return joined.replaceAll(CONTROLS, '')
}

/** Text of several lines for a terminal: only line breaks and tabs move the cursor. */
export function forTerminal(text: string): string {
  return text.replaceAll(CONTROLS, found => (found === '\n' || found === '\t' ? found : ''))
}

/** `1 batch`, `2 batches`. */
export function counted(count: number, one: string, several: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`
}

/** Text without known keys, anything that looks like one, and credentials in URLs. */
export function redacted(text: string, secrets: readonly string[] = []): string {
  return withoutKeys(withoutSecrets(text, secrets)).replaceAll(/(:\/\/)[^/\s@]+@/g, '$1***@')
}

/** The secrets of an environment, in each form in which a text may have them. */
export function secretsIn(env: Readonly<Record<string, string | undefined>>): string[] {
  const keys = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN'].map(name => env[name]?.trim())
  const headers = (env['ANTHROPIC_CUSTOM_HEADERS'] ?? '').split('\n').map(line => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()] as const
  })
  return [...keys.flatMap(secretForms), ...secretsInHeaders(headers)]
}

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
