import { checkInput, sameQuestion } from './check-input.ts'
import type { Context } from './context.ts'
import type { Ending } from './finish.ts'
import { FIRST } from '../run/guard.ts'
import { openInput, readFirst, readingError, type FirstRecords, type InputState } from './input.ts'
import { ownFiles } from './own-files.ts'
import { isEndless, type Settings } from './settings.ts'
import type { Work } from './stages.ts'

/** Opens the input, checks its first records, and closes it after the work. */
export async function withInput(
  context: Context,
  settings: Settings,
  template: Work['template'],
  work: (beginning: FirstRecords, reading: InputState) => Promise<Ending>,
): Promise<Ending> {
  const { cwd, io, talk, signal } = context
  const reading: InputState = { format: undefined, files: 0, broken: undefined }
  const isOwn = await ownFiles(context)
  const input = await openInput({ settings, cwd, io, talk, reading, isOwn, signal })
  const checked = async (): Promise<Ending> => {
    const beginning = await readFirst(input, isEndless(settings) ? 1 : FIRST)
    const format = reading.format ?? settings.from
    const hint = await checkInput(beginning.first, format, settings, template)
    if (hint !== undefined) talk.info(hint)
    const same = sameQuestion(beginning.first, template)
    if (same !== undefined) talk.info(same)
    return await work(beginning, reading)
  }
  const failed = (error: unknown): never => {
    throw readingError(error)
  }
  // A producer that continues or waits must not keep the program alive.
  return await checked()
    .catch(failed)
    .finally(() => input.destroy())
}
