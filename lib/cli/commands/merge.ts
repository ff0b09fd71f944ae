import { counted } from '../shown.ts'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BatchStreamError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import { shardRecords, type SizedShard } from '../../core/shard.ts'
import { rowsInInputOrder } from '../../stages/order/stored-rows.ts'
import { FieldSet } from '../../store/fields.ts'
import type { StoredJob } from '../../store/job.ts'
import { clientOf } from '../client.ts'
import { openFound, restoreAnswers, restoreRecords } from '../ledger.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { pricesOf } from '../money.ts'
import { rememberedBy } from '../remembered.ts'
import { openRows } from '../open-rows.ts'
import { isTable, rowOptionsApart, type RowOptions } from '../row-options.ts'
import { finishedShards, isSameWork, rowsOfShard } from '../shards.ts'
import { stateDir } from '../state-dir.ts'
import { NO_COLUMNS } from '../table-columns.ts'
import { RowTally } from '../tally.ts'

/** Prints the rows of all shards of a job in input order, like one run over the whole input with --order input. */
export async function merge(context: Context): Promise<Ending> {
  const { flags, io, talk, signal } = context
  const dir = stateDir(flags, io.env)
  // The parser requires a name.
  const name = flags.args[0] as string
  const shards = await finishedShards(dir, name, context.ledger !== undefined)
  if (typeof shards === 'string') {
    talk.warn(`${shards} (batches in flight)`)
    return { code: EXIT.inFlight }
  }
  // A job with shards has at least one.
  const { rows, run, columns: known } = rememberedBy(shards[0] as (typeof shards)[0])
  for (const shard of shards)
    if (!isSameWork(run, rememberedBy(shard).run))
      throw new BatchStreamError(
        'CBS_INPUT',
        `job ${shard.name} was made by another command than ${shards[0]?.name}, so their rows are not those of one run: \`results\` prints the rows of each`,
      )
  const options = {
    ...rowsOfShard(rowOptionsApart(flags, rows), undefined),
    order: 'input',
  } as const
  const jobs: StoredJob[] = []
  try {
    for (const shard of shards) jobs.push(await openFound(context, dir, shard))
    if (context.ledger) {
      const client = await clientOf(flags, io, { job: run, keyless: true })
      for (const [index, job] of jobs.entries()) {
        // There are as many shards as jobs.
        await restoreRecords(context, job, shards[index] as (typeof shards)[0])
        await restoreAnswers(context, job, client)
      }
    }
    // There is at least one shard.
    const { block } = shardOf(jobs[0] as StoredJob)
    const records = sameInput(name, jobs)
    const tally = new RowTally()
    const parts = {
      ...{ options, signal },
      // It provides its disk and name.
      job: jobs[0] as StoredJob,
      columns: await columnsOf(jobs, block, options, known),
      schema: run.schema,
      priceOf: pricesOf(run),
      detached: true,
      records: allRecords(jobs, block),
    }
    const out = await openRows(parts, io, talk, result => tally.add(result))
    const check = run.schema && answerCheck(run.schema)
    await pipeline(
      Readable.from(
        inTurn(
          jobs.map(job => rowsInInputOrder(job, check)),
          block,
        ),
      ),
      out,
      { signal },
    )
    if (tally.rows !== records)
      throw new BatchStreamError(
        'CBS_STAGE',
        `the shards of job ${name} have ${counted(records, 'record')} and gave ${tally.rows} rows; please report this`,
      )
    talk.info(`job ${name}, ${jobs.length} shards: ${tally}`)
    return { code: tally.failed === 0 ? EXIT.answered : EXIT.someFailed }
  } finally {
    for (const job of jobs) await job.close()
  }
}

/** Only called for shards. */
function shardOf({ state }: StoredJob): SizedShard {
  return state.shard as SizedShard
}

/** The number of records of all shards. Shards that read different inputs do not add up. */
function sameInput(name: string, jobs: readonly StoredJob[]): number {
  const counts = jobs.map(job => job.store.records.count)
  const records = counts.reduce((sum, count) => sum + count, 0)
  for (const [index, job] of jobs.entries()) {
    const expected = shardRecords(shardOf(job), records)
    if (counts[index] === expected) continue
    throw new BatchStreamError(
      'CBS_INPUT',
      `the shards of job ${name} did not read the same input: of ${records} records ${job.name} should have ${expected} and has ${counts[index]}; nothing was written`,
    )
  }
  const [first] = jobs
  for (const job of jobs) {
    const [a, b] = [first?.state.inputHash, job.state.inputHash]
    // A shard of an earlier version has no hash.
    if (!a || !b || a === b) continue
    throw new BatchStreamError(
      'CBS_INPUT',
      `the shards of job ${name} did not read the same input: that of ${first?.name} and that of ${job.name} differ, so rows may be missing or doubled; nothing was written. \`results ${job.name}\` prints the rows of one shard`,
    )
  }
  return records
}

/** Items of several sources, a block of each in turn. */
async function* inTurn<Item>(
  sources: readonly AsyncGenerator<Item>[],
  block: number,
): AsyncGenerator<Item> {
  try {
    for (;;) {
      for (const source of sources) {
        for (let taken = 0; taken < block; taken++) {
          const { done, value } = await source.next()
          // The first source with an incomplete block has the last record.
          if (done) return
          yield value
        }
      }
    }
  } finally {
    for (const source of sources) await source.return(undefined)
  }
}

function allRecords(jobs: readonly StoredJob[], block: number): AsyncGenerator<SourceRecord> {
  return inTurn(
    jobs.map(job => job.input.recordsFrom(0)),
    block,
  )
}

/** The input columns of a table of all records, in the order in which they first appear. */
async function columnsOf(
  jobs: readonly StoredJob[],
  block: number,
  options: RowOptions,
  known: readonly string[] | undefined,
): Promise<readonly string[]> {
  if (!isTable(options) || options.outputColumns) return NO_COLUMNS
  const fields = new FieldSet(known)
  for await (const record of allRecords(jobs, block)) fields.add(record)
  return fields.names.length > 0 ? fields.names : NO_COLUMNS
}
