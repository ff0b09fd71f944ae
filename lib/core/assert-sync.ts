import { BatchStreamError, wrapError } from './errors.ts'

/**
 * Rejects a promise returned by a user's function whose result is needed at once: as a value it would count as true.
 *
 * @throws BatchStreamError `CBS_STAGE`
 */
export function assertSync<T>(name: string, given: T): T {
  if (!isPromise(given)) return given
  throw new BatchStreamError(
    'CBS_STAGE',
    `\`${name}\` returned a promise, but must be synchronous: move asynchronous work to an earlier stage`,
  )
}

/** Whether a user's function returned a promise. Nothing waits for it, so that its rejection must not end the process. */
export function isPromise(given: unknown): boolean {
  if (typeof Object(given).then !== 'function') return false
  Promise.resolve(given).catch(() => {})
  return true
}

/**
 * Calls a user's function whose result is needed at once.
 *
 * @throws BatchStreamError `CBS_STAGE` if it throws or returns a promise
 */
export function callSync<Args extends readonly unknown[], T>(
  name: string,
  fn: (...args: Args) => T,
  ...args: Args
): T {
  let given: T
  try {
    given = fn(...args)
  } catch (cause) {
    throw wrapError('CBS_STAGE', `\`${name}\` failed`, cause)
  }
  return assertSync(name, given)
}
