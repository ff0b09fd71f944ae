import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'

/**
 * The files that a quoted pattern means, sorted by name: `*` and `?` stand for characters of one name, never for a dot in
 * front. A name that exists as it is written is no pattern. No file at all is `CBS_INPUT`.
 */
export async function filesOf(name: string, cwd: string): Promise<readonly string[]> {
  if (name === '-' || !/[*?]/.test(name) || (await exists(join(cwd, name), name))) return [name]
  let found = [name.startsWith('/') ? '/' : '']
  for (const part of name.split('/').filter(part => part !== '')) {
    const next: string[] = []
    for (const folder of found) next.push(...(await inFolder(folder, part, cwd)))
    found = next
  }
  if (found.length > 0) return found
  throw new BatchStreamError('CBS_INPUT', `no input is called ${name}`)
}

async function inFolder(folder: string, part: string, cwd: string): Promise<string[]> {
  const path = join(folder, part)
  if (!/[*?]/.test(part)) return (await exists(join(cwd, path), path)) ? [path] : []
  // A part of the path that is no folder, or may not be read, holds no matches.
  const names = await readdir(folder.startsWith('/') ? folder : join(cwd, folder)).catch(() => [])
  return names
    .filter(name => isMatch(part, name))
    .sort()
    .map(name => join(folder, name))
}

/**
 * Whether a name of a folder matches a pattern of `*` and `?`. After a mismatch only the last star takes one character more, so
 * the work is at most the product of both lengths; a regular expression tries every star, and so do the glob libraries that
 * are made of one.
 */
function isMatch(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false
  let at = 0
  let inName = 0
  let star: { readonly at: number; inName: number } | undefined
  while (inName < name.length) {
    if (pattern[at] === '*') {
      star = { at, inName }
      at += 1
    } else if (pattern[at] === '?' || pattern[at] === name[inName]) {
      at += 1
      inName += 1
    } else if (star) {
      star.inName += 1
      at = star.at + 1
      inName = star.inName
    } else return false
  }
  while (pattern[at] === '*') at += 1
  return at === pattern.length
}

async function exists(inCwd: string, name: string): Promise<boolean> {
  return await stat(name.startsWith('/') ? name : inCwd).then(
    () => true,
    () => false,
  )
}
