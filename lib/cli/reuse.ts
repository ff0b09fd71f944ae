// --reuse: the flags that it cannot be combined with, and what is reported about it.
import { join } from 'node:path'
import { answeredByClient, answeredByOf } from '../api/answered-by.ts'
import type { AnthropicClient } from '../api/client.ts'
import { BatchStreamError } from '../core/errors.ts'
import { AUTO, mustExist, openEarlier, reuseFrom, type ReuseOptions } from '../run/reuse.ts'
import type { Reuse } from '../stages/aggregate/aggregate.ts'
import type { EarlierAnswers } from '../store/results/earlier-answers.ts'
import { makeTemporaryFolder, temporaryDisk } from '../store/temporary.ts'
import { baseUrlOf } from './client.ts'
import type { Context } from './context.ts'
import type { Settings } from './settings.ts'
import { counted } from './shown.ts'
import { stateDir } from './state-dir.ts'
import type { Talk } from './talk.ts'

/** The API when nothing names another. */
const DEFAULT_API = 'https://api.anthropic.com'

/** Refuses what --reuse cannot be combined with, and a job that does not exist, before anything is read. */
export async function checkReuse({ flags, io }: Context, settings: Settings): Promise<void> {
  const { reuse } = settings
  if (reuse === undefined) return
  const refuse = (why: string): never => {
    throw new BatchStreamError('CBS_OPTION', why)
  }
  if (flags.has('emulate'))
    refuse(
      '--reuse cannot be combined with --emulate, whose jobs end with the command: run `claude-batch-stream emulate` beside it, and name its URL with --base-url',
    )
  if (reuse !== AUTO && reuse === flags.text('job'))
    refuse(`--reuse ${reuse} is the job itself: name an earlier one`)
  await mustExist(reuse, stateDir(flags, io.env))
}

/** What a run takes earlier answers with. */
export interface ReuseParts {
  readonly settings: Settings
  readonly stateDir: string
  readonly client: AnthropicClient
  readonly talk: Talk
}

/** Where a run takes answers from; undefined where it asks everything. */
export function reuseOf({ settings, stateDir: dir, client, talk }: ReuseParts): Reuse | undefined {
  if (settings.reuse === undefined) return undefined
  const answeredBy = answeredByClient(client)
  return reuseFrom(reporting(talk, { reuse: settings.reuse, dir, answeredBy, settings }))
}

function reporting(
  talk: Talk,
  {
    settings: { schema },
    ...where
  }: Pick<ReuseOptions, 'reuse' | 'dir' | 'answeredBy'> & { readonly settings: Settings },
): ReuseOptions {
  return {
    ...{ ...where, schema },
    onNotice: message => talk.info(message),
    onFound: (answers, jobs) =>
      talk.detail(
        `--reuse ${where.reuse}: ${counted(answers, 'answer')} of ${counted(jobs, 'job')}`,
      ),
  }
}

/** The same for a preview, which has no job and calls no API. The caller closes it. */
export async function previewReuse(
  { flags, io, talk }: Context,
  settings: Settings,
): Promise<{ readonly earlier: EarlierAnswers; close(): Promise<void> } | undefined> {
  const { reuse } = settings
  if (reuse === undefined) return undefined
  const answeredBy = answeredByOf(baseUrlOf(flags, io.env) ?? DEFAULT_API, settings.betas)
  const options = { reuse, dir: stateDir(flags, io.env), answeredBy, settings }
  const folder = await makeTemporaryFolder()
  const path = join(folder, 'earlier')
  const earlier = await openEarlier(reporting(talk, options), path, flags.text('job'))
  return {
    earlier,
    close: async () => {
      await earlier.close()
      await temporaryDisk.remove(folder)
    },
  }
}
