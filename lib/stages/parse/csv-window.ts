import { isUtf8 } from 'node:buffer'
import { CR } from './line-breaks.ts'
import { cutCharacter } from '../../core/utf8.ts'

/** The bytes that csv-parse has given no row for, and what is known of all of them. */
export interface Window {
  readonly bytes: Buffer
  readonly hasCr: boolean
  readonly isUtf8: boolean
}

/** Looked at once for all rows in them; a character may be cut at the end. */
export function lookAt(bytes: Buffer): Window {
  const whole = bytes.subarray(0, bytes.length - cutCharacter(bytes))
  return { bytes, hasCr: bytes.includes(CR), isUtf8: isUtf8(whole) }
}
