import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { IsOwn } from './own-files.ts'

/**
 * The files of one `--input`, sorted by name: a file, all files below a folder, or the matches of a quoted pattern. Hidden
 * files and folders are skipped unless they are named, and so are the run's own files. No file at all is `CBS_INPUT`.
 */
export async function filesOf(name: string, cwd: string, isOwn: IsOwn): Promise<readonly string[]> {
  if (name === '-') return [name]
  const names = await matchesOf(name, cwd, isOwn)
  const files = await Promise.all(names.map(one => withinFolder(one, cwd, isOwn)))
  const found = files.flat()
  if (found.length > 0) return found
  throw new BatchStreamError(
    'CBS_INPUT',
    `the folder ${name} has no files (hidden ones are skipped)`,
  )
}

/** The files below a folder. Links to folders are not followed, so there are no loops. */
async function withinFolder(name: string, cwd: string, isOwn: IsOwn): Promise<readonly string[]> {
  const unreadable = (cause: NodeJS.ErrnoException): never => {
    if (cause.code !== 'ENOENT')
      throw wrapError('CBS_INPUT', `the input ${name} cannot be read`, cause)
    const where = isAbsolute(name) ? '' : ` in ${cwd}`
    throw new BatchStreamError('CBS_INPUT', `there is no input ${name}${where}`, { cause })
  }
  const found = await stat(resolve(cwd, name)).catch(unreadable)
  if (!found.isDirectory()) return [name]
  const entries = await readdir(resolve(cwd, name), { withFileTypes: true }).catch(unreadable)
  const files: string[] = []
  for (const entry of entries.sort(byName)) {
    if (entry.name.startsWith('.')) continue
    const path = join(name, entry.name)
    if (await isOwn(resolve(cwd, path))) continue
    if (entry.isDirectory()) files.push(...(await withinFolder(path, cwd, isOwn)))
    else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(resolve(cwd, path)))))
      files.push(path)
  }
  return files
}

function byName(a: Dirent, b: Dirent): number {
  return Number(a.name > b.name) - Number(a.name < b.name)
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    found => found.isFile(),
    () => false,
  )
}

/**
 * The matches of a pattern, sorted by name: `*` and `?` match characters of one name, but not a leading dot. An existing
 * name is not a pattern.
 */
async function matchesOf(name: string, cwd: string, isOwn: IsOwn): Promise<readonly string[]> {
  if (!/[*?]/.test(name) || (await exists(join(cwd, name), name))) return [name]
  let found = [name.startsWith('/') ? '/' : '']
  for (const part of name.split('/').filter(part => part !== '')) {
    const next: string[] = []
    for (const folder of found) next.push(...(await inFolder(folder, part, cwd)))
    found = next
  }
  const matches: string[] = []
  for (const match of found) if (!(await isOwn(resolve(cwd, match)))) matches.push(match)
  if (matches.length > 0) return matches
  throw new BatchStreamError('CBS_INPUT', `there is no input ${name}`)
}

async function inFolder(folder: string, part: string, cwd: string): Promise<string[]> {
  const path = join(folder, part)
  if (!/[*?]/.test(part)) return (await exists(join(cwd, path), path)) ? [path] : []
  // A path component that is not a folder, or is unreadable, has no matches.
  const names = await readdir(folder.startsWith('/') ? folder : join(cwd, folder)).catch(() => [])
  return names
    .filter(name => isMatch(part, name))
    .sort()
    .map(name => join(folder, name))
}

/**
 * Whether a name matches a pattern of `*` and `?`. After a mismatch only the last star takes one more character, so the
 * work is at most the product of both lengths. A regular expression, and glob libraries built on one, would try every star.
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
