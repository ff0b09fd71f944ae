import { isAbsolute, join } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { wrongFlag } from './values.ts'

/** The folder that contains `jobs/`: the flag, else the XDG state folder; undefined if there is none. */
export function stateDirIfAny(flags: Flags, env: Io['env']): string | undefined {
  const given = flags.text('state-dir')
  if (given === '') throw wrongFlag('--state-dir', 'a folder', given)
  if (given !== undefined) return given
  const xdg = env['XDG_STATE_HOME']
  // As in the XDG specification: a relative path would depend on the working directory.
  if (xdg && isAbsolute(xdg)) return join(xdg, 'claude-batch-stream')
  const home = env['HOME']
  return home ? join(home, '.local', 'state', 'claude-batch-stream') : undefined
}

/** The same for a command that needs one. */
export function stateDir(flags: Flags, env: Io['env']): string {
  const dir = stateDirIfAny(flags, env)
  if (dir !== undefined) return dir
  throw new BatchStreamError(
    'CBS_OPTION',
    'HOME is not set, so there is no folder for jobs: name one with --state-dir DIR',
  )
}
