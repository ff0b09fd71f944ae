import { BatchStreamError } from '../../core/errors.ts'
import { didYouMean } from '../../core/nearest.ts'
import { bash } from './bash.ts'
import { fish } from './fish.ts'
import { zsh } from './zsh.ts'

const SHELLS: Readonly<Record<string, () => string>> = { bash, zsh, fish }

/** The script that makes a shell complete commands, flags, values and job names. */
export function completionFor(shell: string | undefined): string {
  const names = Object.keys(SHELLS)
  const script = shell !== undefined && Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
  if (script) return script()
  const hint = didYouMean(shell ?? '', names)
  throw new BatchStreamError(
    'CBS_OPTION',
    `completion takes one of ${names.join(', ')}, got ${shell === undefined ? 'none' : `"${shell}"`}${hint}`,
  )
}
