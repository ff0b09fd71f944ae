import { Command, type CommanderError, Option } from 'commander'
import { BatchStreamError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import { configFile, userConfig } from './config.ts'
import { acceptedBy, type CommandName, type OptionSpec } from './options.ts'
import { checkVariables, variableOf } from './variables.ts'

/** The given flags: texts by long name, switches as true (`no-header` for a negative one). */
export interface Flags {
  readonly args: readonly string[]
  text(name: string): string | undefined
  /**
   * The value of a flag as parsed by `read`, which also gets the flag's name for its errors; undefined if the flag is not
   * given.
   */
  read<Value>(name: string, read: (flag: string, text: string) => Value): Value | undefined
  texts(name: string): readonly string[]
  has(name: string): boolean
  /** Whether the flag is on the command line. Variables and config files have defaults, which need not fit every command. */
  given(name: string): boolean
  count(name: string): number
  /** The origin of each value that is not a default, one per line. */
  origins(): string[]
}

/** What a command takes beside flags. */
export type Takes = 'nothing' | 'one' | 'maybe one' | 'two'

/** How many names each takes, at least and at most. */
const NAMES = { nothing: [0, 0], one: [1, 1], 'maybe one': [0, 1], two: [2, 2] } as const

/** Parses the words of a command by the option table. The environment and config files fill in flags that are not given. */
export function parseFlags(
  command: CommandName,
  takes: Takes,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Flags {
  const specs = acceptedBy(command)
  const program = new Command(command).exitOverride().helpOption(false).allowExcessArguments(true)
  program.configureOutput({ writeErr: () => {} })
  for (const spec of specs) program.addOption(optionOf(spec))
  program.argument('[args...]')
  try {
    program.parse([...words], { from: 'user' })
  } catch (cause) {
    // With exitOverride() it throws only these.
    throw unknownWord(cause as CommanderError, specs)
  }
  const given = program.opts<Record<string, string | readonly string[] | boolean>>()
  const args = program.args
  const [least, most] = NAMES[takes]
  if (args.length > most || args.length < least) throw wrongArguments(command, takes, args)
  return readerOf(specs, given, args, env)
}

/** Alternative flags for the same thing: a prompt on the command line wins over a prompt file in the environment. */
const SAME = [
  ['prompt', 'prompt-file', 'template'],
  ['system', 'system-file'],
]

type Value = string | readonly string[] | boolean | undefined

/** A source of flags; the nearest one with a value wins. */
interface FlagSource {
  where(name: string): string
  of(name: string): Value
}

function readerOf(
  specs: readonly OptionSpec[],
  given: Readonly<Record<string, Value>>,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Flags {
  checkVariables(env)
  // Scripts often set an empty variable to mean "none".
  const fromEnv = (name: string): string | undefined => env[variableOf(name)] || undefined
  const named = given['config'] ?? fromEnv('config')
  const configs = [
    ...(typeof named === 'string' ? [configFile(named)] : []),
    ...[userConfig(env)].filter(config => config !== undefined),
  ]
  const places: readonly FlagSource[] = [
    { where: () => 'the command line', of: name => given[keyOf(name)] },
    { where: variableOf, of: fromEnv },
    ...configs.map(({ path, values }) => ({
      where: () => path,
      of: (name: string) => values.get(name),
    })),
  ]
  const placeOf = (name: string): FlagSource | undefined => {
    const names = SAME.find(each => each.includes(name)) ?? [name]
    return places.find(({ of }) => names.some(each => of(each) !== undefined))
  }
  const value = (name: string): Value => placeOf(name)?.of(name)
  const texts = (name: string): readonly string[] => {
    const found = value(name)
    return Array.isArray(found) ? found : typeof found === 'string' ? [found] : []
  }
  const has = (name: string): boolean => {
    const found = value(name)
    return typeof found === 'string'
      ? !['', '0', 'false', 'no'].includes(found)
      : found === true || Array.isArray(found)
  }
  return {
    args,
    texts,
    has,
    given: name => given[keyOf(name)] !== undefined,
    text: name => texts(name).at(-1),
    read: (name, read) => {
      const text = texts(name).at(-1)
      return text === undefined ? undefined : read(`--${name}`, text)
    },
    count: name => {
      const found = value(name)
      return Array.isArray(found) ? found.length : has(name) ? 1 : 0
    },
    origins: () => {
      const names = specs.map(({ name, negative }) => (negative ? `no-${name}` : name))
      const lines = names
        .filter(name => value(name) !== undefined)
        .map(name => `--${name} is from ${placeOf(name)?.where(name)}`)
      return [...lines, 'every other flag has its default']
    },
  }
}

function optionOf(spec: OptionSpec): Option {
  const short = spec.short === undefined ? '' : `-${spec.short}, `
  // A negative switch is parsed under its own name, so that `--input FILE` and `--no-input` do not collide.
  const long = spec.negative ? `--no-${spec.name}` : `--${spec.name}`
  const arg = spec.maybe ? ` [${spec.arg}]` : ` <${spec.arg}${spec.many ? '...' : ''}>`
  const option = new Option(`${short}${long}${spec.arg === undefined ? '' : arg}`, spec.help)
  option.attributeName = () => keyOf(spec.negative ? `no-${spec.name}` : spec.name)
  option.negate = false
  if (spec.many) option.argParser(gather).preset('')
  return option
}

function gather(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

function keyOf(name: string): string {
  return name.replaceAll('-', '_')
}

function unknownWord(cause: CommanderError, specs: readonly OptionSpec[]): BatchStreamError {
  const name = /'--([^'=]+)/.exec(cause.message)?.[1]
  const names = specs.map(spec => (spec.negative ? `no-${spec.name}` : spec.name))
  const near =
    cause.code === 'commander.unknownOption' && name !== undefined
      ? nearest(name, names)
      : undefined
  const hint = near === undefined ? '' : ` (did you mean --${near}?)`
  // After a `=` there may be a key, which must not be shown.
  const said = cause.message.replace(/^error: /, '').replace(/\n.*/s, '')
  const why = said.replace(/^(unknown option '-[^=]*)=.*'$/s, "$1'")
  return new BatchStreamError('CBS_OPTION', `${why}${hint}; see --help`)
}

function wrongArguments(
  command: CommandName,
  takes: Takes,
  args: readonly string[],
): BatchStreamError {
  const extra = args[NAMES[takes][1]]
  if (command === 'run') {
    return new BatchStreamError(
      'CBS_OPTION',
      `"${extra}" is neither a flag nor a command; to read a file: -i ${extra}`,
    )
  }
  const what = { 0: 'no name', 1: 'one name', 2: 'two names' }[NAMES[takes][1]]
  return new BatchStreamError(
    'CBS_OPTION',
    `${command} takes ${what}, got ${args.length === 0 ? 'none' : args.join(' ')}`,
  )
}
