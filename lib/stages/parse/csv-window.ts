import { isUtf8 } from 'node:buffer'
import { CR } from './line-breaks.ts'
import { cutCharacter } from '../../core/utf8.ts'

/** The bytes without a row from csv-parse yet, with properties of all of them. */
export interface Window {
  readonly bytes: Buffer
  readonly hasCr: boolean
  readonly isUtf8: boolean
}

/** Examines bytes once for all their rows; the last character may be incomplete. */
export function lookAt(bytes: Buffer): Window {
  const whole = bytes.subarray(0, bytes.length - cutCharacter(bytes))
  return { bytes, hasCr: bytes.includes(CR), isUtf8: isUtf8(whole) }
}
