import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BatchStreamError } from '../errors.ts'

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
  const wanted = patternOf(part)
  return names
    .filter(name => wanted.test(name))
    .sort()
    .map(name => join(folder, name))
}

function patternOf(part: string): RegExp {
  const source = part
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${part.startsWith('.') ? '' : '(?!\\.)'}${source}$`, 's')
}

async function exists(inCwd: string, name: string): Promise<boolean> {
  return await stat(name.startsWith('/') ? name : inCwd).then(
    () => true,
    () => false,
  )
}
