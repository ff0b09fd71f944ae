import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'

const FOLDER = '/proc/self/fd'

/** Open files of this process below a folder. */
export function openBelow(folder: string): string[] {
  const paths = existsSync(FOLDER) ? fromProc() : fromLsof()
  return paths.filter(path => path.startsWith(folder)).sort()
}

function fromProc(): string[] {
  return readdirSync(FOLDER).flatMap(fd => {
    try {
      return [readlinkSync(`${FOLDER}/${fd}`)]
    } catch {
      // The descriptor that listed the folder is closed by now.
      return []
    }
  })
}

/** macOS has no /proc. */
function fromLsof(): string[] {
  const lines = execFileSync('lsof', ['-p', String(process.pid), '-Fn'], { encoding: 'utf8' })
  return lines.split('\n').flatMap(line => (line.startsWith('n/') ? [line.slice(1)] : []))
}
