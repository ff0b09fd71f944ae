import type { Machine } from './machine.ts'
import { PLACES } from './process.ts'

/**
 * What happens to a journal on disk. `cut`: of its bytes that were never synced only this many are left. `flip`: the byte at
 * this place (beyond the end it counts on from the start) has these bits changed, or is made NUL.
 */
export type Damage =
  | { readonly kind: 'cut'; readonly after: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bits: number | 'all to zero' }

export function damage(machine: Machine, what: Damage): void {
  const file = machine.file(`${PLACES.state}/jobs/crash/journal.jsonl`)
  // A process that died early has made none.
  if (!file) return
  if (what.kind === 'cut') {
    const size = file.synced.length + what.after
    if (size < file.bytes.length) file.truncate(size)
    return
  }
  const at = what.at % file.bytes.length
  // In range by the remainder.
  const before = file.bytes[at] as number
  file.write(Buffer.from([what.bits === 'all to zero' ? 0 : before ^ what.bits]), at)
}
