import { ApiSession } from '../../core/session.ts'
import { messageOf } from '../../core/errors.ts'
import { nodeDisk } from '../../store/disk.ts'
import { inspectJob, inspectJobs } from '../../store/inspect.ts'
import { clientOf } from '../client.ts'
import { print } from '../print.ts'
import type { Context } from '../context.ts'
import { EXIT, exitCodeOf } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { apiFor } from '../free-call.ts'
import { inFlags } from '../in-flags.ts'
import { statusOf } from '../job-work.ts'
import { stateDir } from '../state-dir.ts'
import { printable } from '../shown.ts'

/** Free space below which a large job will not fit. */
const LOW_BYTES = 1e9

/** A clock difference beyond this confuses ages and dates; nothing that costs money depends on it. */
const CLOCK_OFF_MS = 5 * 60_000

interface Finding {
  readonly ok: boolean
  readonly text: string
  /** The exit code for this finding, if not the usual one. */
  readonly code?: number
}

/** Checks key, host, clock, disk, permissions and journals, and reports the findings. */
export async function doctor(context: Context): Promise<Ending> {
  const { io } = context
  const findings = [...(await apiFindings(context)), ...(await diskFindings(context))]
  for (const { ok, text } of findings)
    await print(io.stdout, `${ok ? 'ok  ' : 'BAD '} ${inFlags(printable(text))}\n`)
  const refused = findings.find(({ code }) => code !== undefined)?.code
  const isWell = findings.every(({ ok }) => ok)
  return { code: refused ?? (isWell ? EXIT.answered : EXIT.someFailed) }
}

async function apiFindings(context: Context): Promise<Finding[]> {
  const { flags, io } = context
  const session = new ApiSession(io.clock)
  const found = async (): Promise<Finding[]> => {
    const client = await clientOf(flags, io)
    await apiFor(context, client, session).list(undefined, 1, 'proof')
    const off = session.serverTime.nowOrOurs() - io.clock.now()
    const clock = Math.abs(off) < CLOCK_OFF_MS
    return [
      {
        ok: true,
        text: `the API at ${client.baseURL} accepts the key (workspace ${session.workspace ?? 'not named'})`,
      },
      {
        ok: clock,
        text: clock
          ? 'the clock agrees with the API'
          : `the clock differs from the API's by ${Math.round(off / 1000)} s`,
      },
    ]
  }
  const failed = (cause: unknown): Finding[] => {
    const isRefused = exitCodeOf(cause) === EXIT.access
    return [{ ok: false, text: messageOf(cause), ...(isRefused && { code: EXIT.access }) }]
  }
  return await found().catch(failed)
}

async function diskFindings({ flags, io }: Context): Promise<Finding[]> {
  const dir = stateDir(flags, io.env)
  try {
    await nodeDisk.makeFolder(dir)
    const free = await nodeDisk.free(dir)
    const [name] = flags.args
    const jobs =
      name === undefined
        ? await inspectJobs(nodeDisk, dir)
        : [await inspectJob(nodeDisk, dir, name)]
    const found = jobs.map(job => ({
      ok: job?.state !== undefined,
      text: job ? `job ${job.name}: ${job.trouble ?? statusOf(job)}` : `there is no job ${name}`,
    }))
    return [
      {
        ok: free > LOW_BYTES,
        text: `${dir} belongs to this user and has ${Math.round(free / 1e6)} MB free`,
      },
      ...found,
    ]
  } catch (cause) {
    return [{ ok: false, text: messageOf(cause) }]
  }
}
