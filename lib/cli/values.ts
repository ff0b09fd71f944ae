import { readFile } from 'node:fs/promises'
import { BatchStreamError, wrapError } from '../core/errors.ts'

/** Maximum characters of an invalid value in an error. */
const SHOWN = 80

const DURATIONS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const SIZES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
}

/** Parses `50ms`, `90s`, `10m`, `2h`, `30d` as ms. */
export function duration(flag: string, text: string, least = 0): number {
  const wanted = 'a time such as 50ms, 90s, 10m or 2h'
  const ms = scaled(flag, text, DURATIONS, wanted)
  // Timers allow at most 25 days; durations that are only compared may be longer.
  if (least > 0 && (ms < least || ms > 2 ** 31 - 1))
    throw wrongFlag(flag, `${wanted}, up to 24d`, text)
  return ms
}

/** Parses `64MB` (10^6), `64MiB` or plain bytes. */
export function size(
  flag: string,
  text: string,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const wanted = 'a size such as 64MB or 64MiB'
  const bytes = /^\d+$/.test(text) ? Number(text) : scaled(flag, text, SIZES, wanted)
  if (bytes >= least && bytes <= most) return bytes
  const limit = bytes < least ? `of at least ${least}` : `of at most ${most} bytes`
  throw wrongFlag(flag, `${wanted}, ${limit}`, text)
}

export function whole(
  flag: string,
  text: string,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < least || number > most) {
    const range =
      most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw wrongFlag(flag, `a whole number ${range}`, text)
  }
  return number
}

export function oneOf<Choice extends string>(
  flag: string,
  text: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find(known => known === text)
  if (choice === undefined) throw wrongFlag(flag, `one of ${choices.join(', ')}`, text)
  return choice
}

/** `KEY=VALUE` flags as an object. */
export function pairs(flag: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map(text => {
      const at = text.indexOf('=')
      if (at < 1) throw wrongFlag(flag, 'KEY=VALUE', text)
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}

/** A count, or a share of the records with a `%`. */
export function countOrShare(flag: string, text: string): { count: number } | { share: number } {
  const share = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1]
  if (share === undefined) return { count: whole(flag, text, 0) }
  if (Number(share) > 100) throw wrongFlag(flag, 'at most 100%', text)
  return { share: Number(share) / 100 }
}

export function json(flag: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const got = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
    throw new BatchStreamError(
      'CBS_OPTION',
      `${flag} must be JSON (a text in quotes: '"a text"'), got ${got}`,
      { cause },
    )
  }
}

/** The JSON of a file that a flag names. */
export async function jsonIn(flag: string, file: string): Promise<unknown> {
  const text = await textIn(flag, file)
  try {
    return JSON.parse(text)
  } catch (cause) {
    // The message of JSON.parse quotes only a few characters.
    throw wrapError('CBS_OPTION', `${flag} ${file} is not JSON`, cause)
  }
}

export async function textIn(flag: string, file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((cause: unknown) => {
    throw wrapError('CBS_INPUT', `${flag} ${file} cannot be read`, cause)
  })
}

export function wrongFlag(flag: string, wanted: string, got: string): BatchStreamError {
  return new BatchStreamError('CBS_OPTION', `${flag} must be ${wanted}, got "${got}"`)
}

function scaled(
  flag: string,
  text: string,
  units: Readonly<Record<string, number>>,
  wanted: string,
): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text) ?? []
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined
  if (factor === undefined) throw wrongFlag(flag, wanted, text)
  return Math.round(Number(amount) * factor)
}

export type Defined<T> = { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>
}

/** An object without its undefined members, which JSON and comparisons of it drop too. */
export function withoutUndefined<T extends object>(object: T): Defined<T> {
  // Without the undefined members it has this type.
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}
