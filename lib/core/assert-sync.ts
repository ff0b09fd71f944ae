import { BatchStreamError, wrapError } from './errors.ts'

/**
 * What a function of the user's has given, where nobody can wait for it: a promise would count as true, and the rows would go
 * where they do not belong.
 *
 * @throws BatchStreamError `CBS_STAGE`
 */
export function assertSync<T>(name: string, given: T): T {
  if (!(given instanceof Promise)) return given
  // It may reject, and no one else handles that.
  given.catch(() => {})
  throw new BatchStreamError(
    'CBS_STAGE',
    `\`${name}\` gave a promise, and must answer at once: put what it waits for in a stage before`,
  )
}

/**
 * Calls a user's function whose result cannot be awaited.
 *
 * @throws BatchStreamError `CBS_STAGE` where it throws or gives a promise
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
