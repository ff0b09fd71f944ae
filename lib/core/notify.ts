import { messageOf } from './errors.ts'

/** Functions whose failure was reported. A listener that always fails must not flood stderr. */
const reported: WeakSet<object> = new WeakSet()

/**
 * Calls a user's function that only observes, such as a listener or `onWait`. An exception or rejection does not affect the
 * run: the first failure of each function becomes a process warning.
 */
export function notify<Args extends readonly unknown[]>(
  name: string,
  observer: ((...args: Args) => unknown) | undefined,
  ...args: Args
): void {
  if (!observer) return
  const report = (cause: unknown): void => {
    if (reported.has(observer)) return
    reported.add(observer)
    process.emitWarning(`\`${name}\` failed, and the run continues: ${messageOf(cause)}`, {
      type: 'BatchStreamWarning',
      code: 'CBS_STAGE',
      ...(cause instanceof Error && cause.stack !== undefined && { detail: cause.stack }),
    })
  }
  try {
    Promise.resolve(observer(...args)).catch(report)
  } catch (cause) {
    report(cause)
  }
}
