import { createInterface } from 'node:readline/promises'
import { BatchStreamError } from '../core/errors.ts'
import type { Context } from './context.ts'

/**
 * Asks on the terminal before an action that cannot be undone; `-y` answers yes.
 *
 * @throws BatchStreamError `CBS_OPTION` without a terminal, `CBS_STOPPED` with `refusal` unless the answer is yes
 */
export async function confirm(
  { flags, io, signal }: Pick<Context, 'flags' | 'io' | 'signal'>,
  question: string,
  refusal: string,
): Promise<void> {
  if (flags.has('yes')) return
  if (!io.stdin.isTTY || flags.has('no-input')) {
    throw new BatchStreamError('CBS_OPTION', `${question} Answer yes with -y`)
  }
  const lines = createInterface({ input: io.stdin, output: io.stderr })
  const answer = await lines.question(`${question} [y/N] `, { signal }).finally(() => lines.close())
  if (!/^y(es)?$/i.test(answer.trim())) throw new BatchStreamError('CBS_STOPPED', refusal)
}
