import type { Flags } from './flags.ts'
import { wrongFlag } from './values.ts'

/** What --cache says: a switch whose value may be `prime`. In the environment a switch is on as `1`, `true` or `yes`. */
export function cacheIn(flags: Flags): true | 'prime' | undefined {
  const text = flags.text('cache')
  if (text === 'prime') return text
  if (!flags.has('cache')) return undefined
  if (text === undefined || ['1', 'true', 'yes'].includes(text)) return true
  throw wrongFlag('--cache', 'prime, or nothing', text)
}
