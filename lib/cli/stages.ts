import { once } from 'node:events'
import type Anthropic from '@anthropic-ai/sdk'
import { pathToFileURL } from 'node:url'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { SourceRecord, SubmittedBatch } from '../core/flow.ts'
import type { Result } from '../core/results/result.ts'
import type { Stage } from '../core/stage.ts'
import type { CostLedger } from '../cost/ledger.ts'
import { answerRecords, submitRecords, type RunParts } from '../run/assemble.ts'
import type { Canary } from '../run/canary.ts'
import type { Cap } from '../run/cap.ts'
import { attachedFile } from '../stages/parse/files.ts'
import { MAX_RETRIES } from '../stages/retry/retry.ts'
import { mustBeOne, mustBePossible } from '../stages/search/search.ts'
import type { AttachOptions } from '../stages/template/attach.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import type { StoredJob } from '../store/job.ts'
import { fitsTable } from './fits-table.ts'
import type { Flags } from './flags.ts'
import { waitsAt } from './free-call.ts'
import { preflight } from '../run/preflight.ts'
import { reuseOf } from './reuse.ts'
import { hashOfModule, responseFields } from './request-settings.ts'
import type { Settings } from './settings.ts'
import type { TableColumns } from './table-columns.ts'
import type { Talk } from './talk.ts'
import { duration, whole, wrongFlag } from './values.ts'

/** How a run waits; not stored with the job. */
export interface Pace {
  readonly concurrency: number
  readonly pollMs: number | undefined
  readonly settleMs: number
  /** Decisions about batches whose ids the user chose. */
  readonly adopt: readonly string[]
  readonly preflight: boolean
  /** How long to wait for batches in flight before the run leaves them; undefined means until they end. */
  readonly maxWaitMs?: number | undefined
}

/** The pace that flags give; `remembered` is the --concurrency of the command that started the job. */
export function paceOf(flags: Flags, remembered?: string): Pace {
  const poll = flags.text('poll')
  const settle = flags.text('settle')
  const concurrency = flags.text('concurrency') ?? remembered
  const maxWait = flags.text('max-wait')
  return {
    concurrency: concurrency === undefined ? 10 : concurrencyIn(concurrency),
    pollMs: poll === undefined ? undefined : duration('--poll', poll, 1),
    settleMs: settle === undefined ? 600_000 : duration('--settle', settle),
    adopt: decisionsIn(flags),
    preflight: !flags.has('no-preflight'),
    maxWaitMs: maxWait === undefined ? undefined : duration('--max-wait', maxWait),
  }
}

function decisionsIn(flags: Flags): readonly string[] {
  const given = flags.texts('adopt')
  for (const text of given)
    if (text !== 'none' && !text.startsWith('msgbatch_'))
      throw wrongFlag('--adopt', 'a batch id, or none', text)
  return given
}

/**
 * Rejects a decision about a batch that is no candidate of the job.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function checkDecisions(
  { name, state }: Pick<StoredJob, 'name' | 'state'>,
  { adopt }: Pace,
  talk: Pick<Talk, 'info'>,
): void {
  const batches = [...state.batches.values()]
  for (const batch of batches) mustBeOne(batch, adopt)
  mustBePossible(batches, adopt)
  for (const id of adopt) {
    const own = batches.find(batch => batch.id === id)
    const says =
      own?.fetched?.why === null ? 'already' : 'already; the valid lines of its results count'
    if (own) talk.info(`--adopt ${id}: that is batch ${own.number} of job ${name} ${says}`)
    // Unless the job has named some, a batch whose create got no reply may be any batch of the API.
    const isPossible = batches.some(
      ({ phase, candidates }) =>
        candidates[id] !== undefined ||
        (phase === 'armed' && !Object.values(candidates).includes('named')),
    )
    if (id !== 'none' && !own && !isPossible)
      throw new BatchStreamError(
        'CBS_OPTION',
        `--adopt ${id}: no batch of job ${name} may be that one, according to its journal; \`claude-batch-stream status ${name}\` shows the batches in question`,
      )
  }
}

/** With `auto` only a full queue holds back the next batch. */
function concurrencyIn(text: string): number {
  if (text === 'auto') return Number.MAX_SAFE_INTEGER
  if (/^\d+$/.test(text)) return whole('--concurrency', text, 1)
  throw wrongFlag('--concurrency', 'a whole number of at least 1, or auto', text)
}

/** The inputs of a run's stages. */
export interface Work {
  readonly settings: Settings
  readonly pace: Pace
  readonly job: StoredJob
  readonly client: Anthropic
  readonly talk: Talk
  readonly stateDir: string
  readonly template: TemplateOptions
  /** Whether rows come in the order of their records. */
  readonly ordered: boolean
  /** The columns of the table that rows go to; undefined without a table, and if the user chose the columns. */
  readonly table: TableColumns | undefined
  /** Whether a first batch that fails as a whole ends the run; not if the user chose to resume. */
  readonly stopOnUniformFailure?: boolean
  /** Whether nothing more is sent: what the API does not have becomes `rejected` rows. */
  readonly abandon?: boolean
  /** Which failures are retried; by default those that say nothing about the request. */
  readonly ask?: (result: Result) => boolean
  /** The spending cap. */
  readonly cap?: Cap | undefined
  /** Holds the run back until its first records are answered. */
  readonly canary?: Canary | undefined
  /** Records the cost of every answer. */
  readonly ledger: CostLedger
  /** Called when the API's queue is full. */
  readonly onBusy?: () => void
}

/** The template options from the settings, with the user's module loaded. */
export async function templateOptions(settings: Settings, talk: Talk): Promise<TemplateOptions> {
  const { prompt, system, model, maxTokens, params, id, vars, metaField } = settings
  const { askFailed } = settings
  const responseField = responseFields(settings)
  return {
    prompt: settings.template === undefined ? prompt : await promptFrom(settings, talk),
    ...{ system, model, maxTokens, params, id, vars, responseField, metaField, askFailed },
    ready: settings.from === 'requests',
    schema: settings.schema,
    cache: settings.cache !== undefined,
    ...attachments(settings),
  }
}

/** Images and PDFs of `--from files` attach themselves. */
function attachments({ attach = [], from, filesDir }: Settings): AttachOptions {
  if (filesDir === undefined) return {}
  return { attach: from === 'files' ? [...attach, attachedFile] : attach, attachDir: filesDir }
}

async function promptFrom(
  { template: path = '', templateHash }: Settings,
  talk: Talk,
): Promise<NonNullable<TemplateOptions['prompt']>> {
  const hash = await hashOfModule(path)
  if (hash !== templateHash)
    talk.info(
      `--template ${path} has changed since the job started: requests that are not sent yet use the new version`,
    )
  // The text is part of the URL, so that a process never runs an older version.
  const address = `${pathToFileURL(path).href}?${hash}`
  const module = await loaded(address).catch((cause: unknown) => {
    throw wrapError('CBS_OPTION', `--template ${path} cannot be loaded`, cause)
  })
  if (typeof module.default !== 'function') {
    throw new BatchStreamError(
      'CBS_OPTION',
      `--template ${path} must \`export default fields => text or params\``,
    )
  }
  // Its result is checked for each record.
  return module.default as NonNullable<TemplateOptions['prompt']>
}

/** Loads a module. An `await` in it that never ends would let the process exit without a word when nothing is left to wait for. */
async function loaded(address: string): Promise<{ readonly default?: unknown }> {
  const over = new AbortController()
  // Node emits it when nothing is left to wait for.
  const stuck = once(process, 'beforeExit', { signal: over.signal }).then(() => {
    throw new Error('an `await` in it never ends')
  })
  // Also where the module was loaded.
  stuck.catch(() => {})
  try {
    return await Promise.race([import(address), stuck])
  } finally {
    over.abort()
  }
}

/** The parts of a run. */
function partsOf(work: Work): RunParts {
  const { settings, job, talk, pace, client, table } = work
  return {
    ...{ job, client, template: work.template, ledger: work.ledger, cap: work.cap },
    batchSize: settings.batchSize,
    batchBytes: settings.batchBytes,
    batchWait: settings.batchWaitMs,
    batchAge: settings.batchAgeMs,
    maxInvalid: settings.maxInvalid,
    dedupe: settings.dedupe ?? false,
    reuse: reuseOf(work),
    prime: settings.cache === 'prime',
    canary: work.canary,
    canarySize: settings.canary,
    concurrency: pace.concurrency,
    poll: pace.pollMs,
    settle: pace.settleMs,
    adopt: pace.adopt,
    // `retry JOB` bounds its tries by itself: a job may have had any number of them before.
    retries: work.ask ? MAX_RETRIES : work.abandon ? 0 : settings.retries,
    shouldRetry: work.ask,
    schema: settings.schema,
    ordered: work.ordered,
    stopOnUniformFailure: work.stopOnUniformFailure ?? false,
    abandon: work.abandon ?? false,
    // The job's card holds its settings, and what may change of them.
    compareTemplate: false,
    fit: table && (() => fitsTable(table, [...responseFields(settings), settings.metaField])),
    preflight:
      pace.preflight && !work.abandon
        ? () =>
            preflight({
              ...{ client, job, onWait: waitsAt(talk, job.clock) },
              onSkip: why => talk.detail(`preflight skipped: ${why}`),
              onWarn: warning => talk.info(warning),
            })
        : undefined,
    onWait: (number, why) => talk.wait(`batch ${number} waits: ${why}`, job.clock.elapsed()),
    onBusy: work.onBusy,
    stateDir: work.stateDir,
  }
}

/** From records to batches that the API has accepted. */
export function submitting(work: Work, attempt: number): Stage<SourceRecord, SubmittedBatch> {
  return submitRecords(partsOf(work), attempt)
}

/** From records to an answer for each, including retries. */
export function asking(work: Work): Stage<SourceRecord, Result> {
  return answerRecords(partsOf(work))
}
