import type { Machine } from './machine.ts'
import { PLACES } from './process.ts'

/**
 * Damage to a journal on disk. `cut`: only this many of its unsynced bytes are left. `flip`: the byte at this position (modulo the
 * size) has these bits changed, or becomes NUL.
 */
export type Damage =
  | { readonly kind: 'cut'; readonly after: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bits: number | 'all to zero' }

export function damage(machine: Machine, what: Damage): void {
  const file = machine.file(`${PLACES.state}/jobs/crash/journal.jsonl`)
  // A process that died early has no journal.
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
