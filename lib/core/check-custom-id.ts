import type { Problem } from './flow.ts'
import { CUSTOM_ID } from './limits.ts'

/** Checks a custom_id before sending, since one invalid id makes the API reject the whole batch. */
export function checkCustomId(id: unknown): Problem | undefined {
  if (typeof id === 'string' && CUSTOM_ID.test(id)) return undefined
  return {
    type: 'invalid_custom_id',
    message: `custom_id ${shortened(id)} must be text of 1 to 64 characters from a-z A-Z 0-9 _ -`,
  }
}

const SHOWN = 80

function shortened(id: unknown): string {
  const shown = JSON.stringify(id)
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}...` : shown
}
