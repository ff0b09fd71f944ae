// Tests wait for what they need, never for a time; what never comes is an error with a sentence.

/** Longer than anything here takes on the slowest machine, and much shorter than the test runner waits. */
const LONGEST_MS = 120_000

/** What a piece of work gives; where it hangs, an error that says what hung and what it had said by then. */
export async function within<T>(work: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`it did not end within ${LONGEST_MS / 1000} s: ${what()}`)),
      LONGEST_MS,
    )
  })
  return await Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** Resolves when something holds, which is looked at again and again. */
export async function until(condition: () => boolean): Promise<void> {
  const late = Date.now() + LONGEST_MS
  while (!condition()) {
    if (Date.now() > late) throw new Error(`this never came: ${condition}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
