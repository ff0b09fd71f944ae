import { nodeDisk, type DiskFile } from '../store/disk.ts'
import { RecordReader } from '../store/records.ts'
import { openStored } from '../store/sums.ts'
import type { FailureGroup } from './failures.ts'
import type { ShownFailure } from './report.ts'

/** Characters shown of a record. */
const SHOWN = 200
/** Enough bytes for as many characters. */
const BYTES = SHOWN * 4

/** Adds the first records of each group, read from a job's folder. */
export async function withLines(
  folder: string,
  sources: readonly string[],
  groups: readonly FailureGroup[],
): Promise<ShownFailure[]> {
  if (groups.length === 0) return []
  const files: DiskFile[] = []
  const open = async (name: string): Promise<DiskFile> => {
    const file = await openStored(nodeDisk, `${folder}/${name}`)
    files.push(file)
    return file
  }
  try {
    const reader = new RecordReader(
      await open('records.jsonl'),
      await open('records.index'),
      sources,
    )
    const shown: ShownFailure[] = []
    for (const group of groups) {
      const lines = []
      for (const ordinal of group.ordinals) {
        const { line, source, raw } = await reader.read(ordinal, 1)
        const text = raw.toString('utf8', 0, BYTES)
        lines.push({ line, source, text: text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text })
      }
      shown.push({ ...group, lines })
    }
    return shown
  } finally {
    for (const file of files) await file.close()
  }
}
