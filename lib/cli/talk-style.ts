import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { secretsIn } from './shown.ts'
import type { TalkStyle } from './talk.ts'
import { oneOf } from './values.ts'

const WHEN = ['auto', 'always', 'never'] as const
const FORMATS = ['text', 'json'] as const

/** How messages are formatted, from flags and the environment. */
export function talkStyle(flags: Flags, io: Pick<Io, 'env' | 'stderr'>): TalkStyle {
  const colour = oneOf('--color', flags.text('color') ?? 'auto', WHEN)
  return {
    json: oneOf('--log-format', flags.text('log-format') ?? 'text', FORMATS) === 'json',
    colour: colour === 'auto' ? wantsColour(io) : colour === 'always',
    secrets: secretsIn(io.env),
  }
}

/** The same before the flags are parsed, for messages about the flags themselves. */
export function earlyStyle(words: readonly string[], io: Pick<Io, 'env' | 'stderr'>): TalkStyle {
  const isAsked = / --log-format[= ]json /.test(` ${words.join(' ')} `)
  return {
    json: isAsked || io.env['CLAUDE_BATCH_STREAM_LOG_FORMAT'] === 'json',
    colour: wantsColour(io),
    secrets: secretsIn(io.env),
  }
}

/** The conventions of no-color.org and force-color.org; an empty variable is ignored. */
export function wantsColour({ env, stderr }: Pick<Io, 'env' | 'stderr'>): boolean {
  if (env['NO_COLOR']) return false
  if (env['FORCE_COLOR']) return env['FORCE_COLOR'] !== '0'
  return (stderr.isTTY ?? false) && env['TERM'] !== 'dumb'
}
