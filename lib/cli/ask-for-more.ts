import { createInterface } from 'node:readline'
import type { StoredJob } from '../store/job.ts'
import type { CapOptions } from '../run/cap.ts'
import { parseUsd, showUsdUp } from '../cost/usd.ts'
import type { Context } from './context.ts'
import { inFlags } from './in-flags.ts'
import type { Terminal } from './io.ts'
import { rememberCap } from './run-job.ts'

/**
 * Asks on the terminal for a higher cap once the job has reached its cap. The new cap is stored with the job. With -y
 * nothing is asked and nothing is raised, since agreeing to every amount would make the cap meaningless.
 */
export function askForMore({ flags, io, talk }: Context, job: StoredJob): CapOptions['ask'] {
  const { terminal } = io
  if (!terminal || !io.stderr.isTTY || flags.has('no-input') || flags.has('yes')) return undefined
  return async ({ why, least }, signal) => {
    const opened = await terminal()
    if (!opened) return undefined
    // The progress line would overwrite the question.
    const go = talk.hold()
    try {
      const text = await amountFrom(opened, why, least, signal)
      if (text !== undefined) await rememberCap(job, text)
      return text === undefined ? undefined : parseUsd(text)
    } finally {
      go()
      opened.close()
    }
  }
}

/** The entered amount, as text; undefined if the answer is to stop. */
async function amountFrom(
  { input, output }: Terminal,
  why: string,
  least: bigint,
  signal: AbortSignal,
): Promise<string | undefined> {
  // The terminal itself echoes and edits the line.
  const lines = createInterface({ input, terminal: false })
  signal.addEventListener('abort', () => lines.close(), { once: true })
  const question = `New cap (at least ${showUsdUp(least)}), or press Enter to stop: $`
  output.write(`${inFlags(why)}\n${question}`)
  for await (const line of lines) {
    const text = line.trim().replace(/^\$/, '')
    const amount = parseUsd(text)
    if (amount !== undefined && amount >= least) return text
    if (text === '' || /^no?$/i.test(text)) return undefined
    output.write(question)
  }
  // Ctrl-D, or a signal that ends the run.
  signal.throwIfAborted()
  return undefined
}
