import type { SourceRecord } from '../flow.ts'
import type { Stage } from '../stage.ts'
import type { TemplateOptions } from '../template/options.ts'
import type { Context } from './context.ts'
import { EXIT } from './exit-code.ts'
import type { Ending } from './finish.ts'
import type { Reading } from './input.ts'
import { print } from './print.ts'
import type { Settings } from './settings.ts'
import { describeSurvey, surveyOf } from './survey.ts'
import { whole } from './values.ts'

/** Reads, renders, checks and counts as a run does, and shows the first requests; opens no socket. */
export async function dryRun(
  { flags, io, talk }: Context,
  settings: Settings,
  template: TemplateOptions,
  records: Stage<never, SourceRecord>,
  reading: Reading,
): Promise<Ending> {
  const text = flags.text('show')
  const show = text === undefined ? 0 : whole('--show', text, 1)
  const onlyShow = show > 0 && !flags.has('dry-run')
  let shown = 0
  const survey = await surveyOf(records, {
    settings,
    template,
    talk,
    onRequest: async request => {
      if (shown < show) await print(io.stdout, `${JSON.stringify(request)}\n`)
      shown += 1
      return !onlyShow || shown < show
    },
  })
  if (!onlyShow) {
    talk.say(`dry run, nothing was sent: ${describeSurvey(survey)}`)
    if (survey.requests > 0) talk.say(`estimate: ${survey.estimate.describe()}`)
  }
  if (reading.broken) throw reading.broken
  return { code: survey.rejected === 0 ? EXIT.answered : EXIT.someFailed }
}
