import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Api } from '../../api/api.ts'
import { awaitEnd } from '../../stages/await/await-end.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { answeredAfter } from '../../store/sent-records.ts'
import type { OrdinalSet } from '../../store/ordinal-set.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import { countOf } from '../../core/job/event.ts'
import { MAX_REQUESTS } from '../../core/limits.ts'
import type { StoredJob } from '../../store/job.ts'
import { temporaryJob } from '../../store/open.ts'
import { openFound, restoreAnswers, restoreRecords } from '../ledger.ts'
import type { BatchState } from '../../core/job/state.ts'
import { rowsInInputOrder } from '../../stages/order/stored-rows.ts'
import { fetchResults } from '../../stages/results/fetch-results.ts'
import type { Result } from '../../core/results/result.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import { StageTransform, typed, type Stage } from '../../core/stage.ts'
import { clientOf } from '../client.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import { failedEnding, reportTally, type Ending } from '../finish.ts'
import { apiFor, waitsAt } from '../free-call.ts'
import { jobNamed, rememberedBy } from '../remembered.ts'
import { follow } from '../progress/follow.ts'
import { openRows, tableFieldsOf } from '../open-rows.ts'
import { rowOptionsApart, rowOptionsOf } from '../row-options.ts'
import { pricesOf } from '../money.ts'
import { rowsOfShard } from '../shards.ts'
import { paceOf } from '../stages.ts'
import { stateDir } from '../state-dir.ts'
import { RowTally } from '../tally.ts'

/** Prints rows again, free: a job's from its stored results, a batch's (by any tool) from the API. */
export async function results(context: Context): Promise<Ending> {
  const name = context.flags.args[0]
  return name?.startsWith('msgbatch_') ? await ofBatch(context, name) : await ofJob(context, name)
}

async function ofJob(context: Context, name: string | undefined): Promise<Ending> {
  const { flags, io, talk } = context
  const dir = stateDir(flags, io.env)
  const found = await jobNamed(dir, name)
  const { rows, run, columns: known } = rememberedBy(found)
  const options = rowsOfShard(rowOptionsApart(flags, rows), run.shard)
  const client = await clientOf(flags, io, { job: run, keyless: true })
  const job = await openFound(context, dir, found)
  try {
    await restoreRecords(context, job, found)
    await restoreAnswers(context, job, client)
    const tally = new RowTally()
    const priceOf = pricesOf(run)
    const columns = await tableFieldsOf(job, options, known)
    const { signal } = context
    const parts = { job, options, columns, schema: run.schema, priceOf, detached: true, signal }
    const out = await openRows(parts, io, talk, result => tally.add(result, result.record?.ordinal))
    if (options.order === 'input') {
      const check = run.schema && answerCheck(run.schema)
      await pipeline(Readable.from(rowsInInputOrder(job, check)), out, { signal })
    } else {
      const here = [...job.state.batches.values()]
        .filter(batch => batch.fetched !== null)
        .sort(inOrderOfFetching)
      const batches = here.map(batch => job.endedBatch(batch.number))
      const answers = fetchResults({ client, job, schema: run.schema })
      await pipeline(Readable.from(batches), answers, newest(job), out, { signal })
    }
    await reportTally(job, tally, talk)
    const isWhole = job.state.finished
    if (!isWhole) talk.warn(`job ${job.name} is not finished: these are its rows so far`)
    if (isWhole && tally.failed === 0) return { code: EXIT.answered }
    if (isWhole) return failedEnding(job, tally, context.placeFlags)
    return {
      code: EXIT.someFailed,
      next: { words: ['resume', job.name, ...context.placeFlags] },
    }
  } finally {
    await job.close()
  }
}

function inOrderOfFetching(a: BatchState, b: BatchState): number {
  // Both are fetched.
  return Number(a.fetchOrder) - Number(b.fetchOrder)
}

/** Passes on the newest stored answer of each record. */
function newest(job: StoredJob): Stage<Result, Result> {
  const later = new Map<number, OrdinalSet>()
  const answeredLater = async (attempt: number): Promise<OrdinalSet> => {
    const known = later.get(attempt) ?? (await answeredAfter(job, attempt))
    later.set(attempt, known)
    return known
  }
  const stage = new StageTransform({
    objectMode: true,
    takesPages: true,
    transform(result: Result | ResultPage, _encoding, done) {
      const give = (answered: OrdinalSet): void => {
        const isNewest = ({ record }: Result): boolean =>
          record?.ordinal === undefined || !answered.has(record.ordinal)
        if (!(result instanceof ResultPage)) return isNewest(result) ? done(null, result) : done()
        if (!answered.hasAny(result.ordinal, result.ordinal + result.count))
          return done(null, result)
        for (const one of result) if (isNewest(one)) stage.push(one)
        done()
      }
      answeredLater(result.batch.attempt).then(give).catch(done)
    },
  })
  return typed(stage)
}

async function ofBatch(context: Context, id: string): Promise<Ending> {
  const { flags, io, talk } = context
  const options = rowOptionsOf(flags)
  const pace = paceOf(flags)
  const client = await clientOf(flags, io)
  const job = await temporaryJob(context.io.clock)
  job.retain()
  try {
    await adopt(apiFor(context, client, job.session), job, id)
    follow(context, { job })
    const tally = new RowTally()
    const parts = {
      job,
      options,
      columns: ['custom_id'],
      schema: undefined,
      detached: true,
      signal: context.signal,
    }
    const out = await openRows(parts, io, talk, result => tally.add(result))
    const { pollMs, settleMs, adopt: decisions } = pace
    const tell = waitsAt(talk, io.clock)
    const onWait = (_: unknown, why: string): void => tell(why)
    await pipeline(
      Readable.from([job.submittedBatch(1)]),
      awaitEnd({ client, job, poll: pollMs, settle: settleMs, onWait }),
      fetchResults({ client, job, settle: settleMs, onWait, adopt: decisions }),
      out,
      { signal: context.signal },
    )
    talk.info(`batch ${id}: ${tally}`)
    return { code: tally.failed === 0 ? EXIT.answered : EXIT.someFailed }
  } finally {
    await job.release()
  }
}

/** Adopts a batch of another tool into a temporary job. */
async function adopt(api: Api, job: StoredJob, id: string): Promise<void> {
  const remote = await api.retrieve(id)
  if (!remote)
    throw new BatchStreamError(
      'CBS_INPUT',
      `the API does not know batch ${id} in this key's workspace`,
    )
  const requests = countOf(remote.request_counts)
  if (requests === 0)
    throw new BatchStreamError(
      'CBS_API',
      `the API has not counted the requests of batch ${id} yet: run the same command later`,
    )
  if (requests > MAX_REQUESTS)
    throw new BatchStreamError(
      'CBS_API',
      `the API says that batch ${id} has ${requests} requests, and a batch may have ${MAX_REQUESTS}`,
    )
  const sealed = {
    number: 1,
    attempt: 1,
    next: 0,
    records: requests,
    requests,
    bytes: 0,
    hash: '',
    foreign: true,
  } as const
  await job.note({ type: 'sealed', ...sealed }, false)
  await job.note(
    { type: 'submitted', number: 1, id, at: Date.parse(remote.created_at), adopted: true },
    false,
  )
}
