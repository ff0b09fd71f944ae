import { nodeDisk } from '../../store/disk.ts'
import { inspectJobOrShards, inspectJobs, type JobOnDisk } from '../../store/inspect.ts'
import { print } from '../print.ts'
import type { Context } from '../context.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { describeElsewhere, summaryOf, type JobSummary } from '../job-end/summary.ts'
import { showUsd, usdOf } from '../../cost/usd.ts'
import { madeOf, type JobOrigin } from '../job-facts.ts'
import { copyJobs } from '../ledger.ts'
import { linesOf } from '../most-frequent.ts'
import { moneyIn } from '../settings.ts'
import { inFlags } from '../in-flags.ts'
import { counted, printable } from '../shown.ts'
import { stateDir } from '../state-dir.ts'

const WATCH_MS = 5000

/** Shows the state of a job from its journal: without API calls and without disturbing the job. */
export async function status(context: Context): Promise<Ending> {
  const { flags, io, signal, ledger } = context
  const dir = stateDir(flags, io.env)
  let { held } = context
  for (;;) {
    const jobs = await jobsToShow(dir, flags.args[0])
    let isDone = true
    for (const job of jobs) {
      const { price } = moneyIn(flags)
      const isHeld = held?.has(job.name) === true
      const shown = { ...(await summaryOf(job, io.clock, price, isHeld)), ...madeOf(job) }
      const said = flags.has('json') ? JSON.stringify(shown) : text(shown, job.trouble)
      await print(io.stdout, `${said}\n`)
      isDone &&= shown.state === 'finished' || !job.state
    }
    if (!flags.has('watch') || isDone) break
    await io.clock.sleep(WATCH_MS, signal)
    if (ledger) held = await copyJobs(ledger, dir, flags.args[0])
  }
  return { code: EXIT.answered }
}

/** One job, or all shards of one. */
async function jobsToShow(dir: string, name: string | undefined): Promise<readonly JobOnDisk[]> {
  const jobs =
    name === undefined
      ? (await inspectJobs(nodeDisk, dir)).slice(-1)
      : await inspectJobOrShards(nodeDisk, dir, name)
  if (jobs.length > 0) return jobs
  throw new BatchStreamError(
    'CBS_OPTION',
    name === undefined ? `there are no jobs in ${dir}` : `there is no job ${name} in ${dir}`,
  )
}

function text(shown: JobSummary & JobOrigin, trouble: string | undefined): string {
  const rows = Object.entries(shown.rows).map(([status, count]) => `${count} ${status}`)
  const lines = [
    `${shown.job}  ${shown.state}  ${counted(shown.records, 'record')}; rows: ${rows.join(', ') || 'none'}`,
  ]
  if (trouble !== undefined) lines.push(`  ${inFlags(printable(trouble))}`)
  const { created_at, model, prompt, note } = shown
  const asked = [
    ...(created_at === null ? [] : [created_at.slice(0, 16).replace('T', ' ')]),
    ...(model === null ? [] : [model]),
  ]
  if (asked.length > 0) lines.push(`  ${asked.join(', ')}`)
  if (note !== null) lines.push(`  note: ${printable(note)}`)
  if (prompt !== null) lines.push(`  prompt: ${printable(prompt)}`)
  lines.push(...linesOf(shown.failures))
  if (shown.elsewhere) lines.push(`  ${describeElsewhere(shown.elsewhere)}`)
  const cost = isUnread(shown.state) ? '' : costOf(shown)
  if (cost !== '') lines.push(`  cost: ${cost}`)
  for (const { number, id, state, requests, age_s, waits_for } of shown.batches) {
    const age = age_s === null ? '' : `, ${age_s} s`
    const waits = waits_for
      ? `, may be ${waits_for.join(' or ')}: \`resume\` finds out when that has ended`
      : ''
    lines.push(
      `  batch ${number}  ${state.padEnd(9)}  ${counted(requests, 'request')}${age}  ${id ?? ''}${waits}`,
    )
  }
  return lines.join('\n')
}

/** Whether nothing is known of a job but its name. */
function isUnread(state: JobSummary['state']): boolean {
  return state === 'damaged' || state === 'in ledger'
}

function costOf({ spent_usd, reserved_usd, estimate_usd }: JobSummary): string {
  const parts = [
    [spent_usd, 'spent'],
    // Without a cap nothing is reserved.
    [reserved_usd || null, 'reserved'],
    [estimate_usd, 'estimated in all'],
  ] as const
  return parts
    .flatMap(([amount, what]) => (amount === null ? [] : [`${showUsd(usdOf(amount))} ${what}`]))
    .join(', ')
}
