import { readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import { didYouMean } from '../core/nearest.ts'
import { OPTIONS, type OptionSpec } from './options.ts'

/** Flags from a configuration file, by long name. */
export interface Config {
  readonly path: string
  readonly values: ReadonlyMap<string, string | readonly string[]>
}

/** The user's configuration, if there is one. Nothing is ever read from the working directory. */
export function userConfig(env: Readonly<Record<string, string | undefined>>): Config | undefined {
  const { XDG_CONFIG_HOME: xdg, HOME: home } = env
  // A relative path would load a file from the working directory.
  const base = xdg && isAbsolute(xdg) ? xdg : home && join(home, '.config')
  if (!base) return undefined
  const path = join(base, 'claude-batch-stream', 'config.json')
  try {
    return parsed(path, readFileSync(path, 'utf8'))
  } catch (cause) {
    if (
      cause instanceof Error &&
      'code' in cause &&
      ['ENOENT', 'ENOTDIR'].includes(String(cause.code))
    )
      return undefined
    throw wrapError('CBS_INPUT', `${path} cannot be read`, cause)
  }
}

/** The file named by --config. */
export function configFile(path: string): Config {
  try {
    return parsed(path, readFileSync(path, 'utf8'))
  } catch (cause) {
    throw wrapError('CBS_INPUT', `--config ${path} cannot be read`, cause)
  }
}

function parsed(path: string, text: string): Config {
  const given = valueIn(path, text)
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new BatchStreamError('CBS_OPTION', `${path} must hold a JSON object of flags`)
  const specs = new Map(OPTIONS.map(spec => [`${spec.negative ? 'no-' : ''}${spec.name}`, spec]))
  // It would have to be known before it is read.
  specs.delete('config')
  const values = Object.entries(given).map(([name, value]) => {
    const spec = specs.get(name)
    if (!spec) {
      const hint = didYouMean(name, specs.keys())
      throw new BatchStreamError(
        'CBS_OPTION',
        `${path}: there is no flag ${JSON.stringify(name)}${hint}`,
      )
    }
    return [name, textsOf(spec, value, `${path}: ${name}`)] as const
  })
  return { path, values: new Map(values) }
}

function valueIn(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw wrapError('CBS_OPTION', `${path} must be JSON`, cause)
  }
}

/** A value as it would be on the command line. */
function textsOf(spec: OptionSpec, value: unknown, where: string): string | readonly string[] {
  const { arg, many, maybe } = spec
  if (arg === undefined || maybe) {
    if (typeof value === 'boolean') return String(value)
    if (many && Number.isInteger(value)) return Array<string>(Number(value)).fill('')
  }
  if (arg !== undefined) {
    if (typeof value === 'string' || typeof value === 'number') return String(value)
    if (many && Array.isArray(value) && value.every(one => typeof one === 'string')) return value
  }
  const wanted =
    arg === undefined ? 'true or false' : many ? 'a text or several' : 'a text or a number'
  throw new BatchStreamError('CBS_OPTION', `${where} must be ${wanted}`)
}
