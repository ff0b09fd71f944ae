import { fstat as fstatOf, type BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Context } from './context.ts'
import { stateDirIfAny } from './state-dir.ts'

const fstat = promisify(fstatOf)

/** Whether a path is a file that this run writes, or its state folder. */
export type IsOwn = (path: string) => Promise<boolean>

/**
 * The files that a run writes, with these outputs besides those of its flags. A folder or a pattern must not give them to it as input:
 * they change while it runs, so the same command would have another input.
 */
export async function ownFiles(
  { flags, io, cwd }: Pick<Context, 'flags' | 'io' | 'cwd'>,
  outputs: readonly (string | undefined)[] = [],
): Promise<IsOwn> {
  const named = ['output', 'errors', 'events'].map(name => flags.text(name))
  const paths = [...outputs, ...named, stateDirIfAny(flags, io.env)]
  const found = [
    ...paths.flatMap(path => (path === undefined ? [] : idOf(stat(resolve(cwd, path), BIG)))),
    ...[io.stdout.fd, io.stderr.fd].flatMap(fd => (fd === undefined ? [] : idOf(fstat(fd, BIG)))),
  ]
  const ids = new Set(await Promise.all(found))
  return async path => {
    const id = await idOf(stat(path, BIG))
    return id !== undefined && ids.has(id)
  }
}

const BIG = { bigint: true } as const

/** Identifies a file, whatever its name; undefined if it cannot be read. */
async function idOf(found: Promise<BigIntStats>): Promise<string | undefined> {
  return await found.then(
    ({ dev, ino }) => `${dev} ${ino}`,
    () => undefined,
  )
}
