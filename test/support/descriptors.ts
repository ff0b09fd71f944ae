import { readdirSync, readlinkSync } from 'node:fs'

/** Open files of this process below a folder. */
export function openBelow(folder: string): string[] {
  const paths = readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      // The descriptor that listed the folder is gone by now.
      return []
    }
  })
  return paths.filter(path => path.startsWith(folder)).sort()
}
