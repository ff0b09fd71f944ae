import { once } from 'node:events'
import t from 'tap'
import { notify } from '../../lib/core/notify.ts'

interface Warned extends Error {
  readonly code?: string
  readonly detail?: string
}

/** The next process warning. */
async function warning(): Promise<Warned> {
  const [warned] = (await once(process, 'warning')) as [Warned]
  return warned
}

void t.test('an observer is called with its arguments, and a missing one is ignored', t => {
  const seen: unknown[] = []
  notify('onWait', (...args: [number, string]) => seen.push(args), 1, 'why')
  notify('onWait', undefined)
  t.same(seen, [[1, 'why']])
  t.end()
})

void t.test(
  'an observer that throws or rejects is reported once, without other effects',
  async t => {
    const thrown = warning()
    const failing = (): void => {
      throw new TypeError('no such table')
    }
    notify('onBusy', failing)
    t.match(await thrown, {
      name: 'BatchStreamWarning',
      code: 'CBS_STAGE',
      message: '`onBusy` failed, and the run continues: no such table',
      detail: /TypeError: no such table/,
    })
    let warnings = 0
    const count = (): void => void warnings++
    process.on('warning', count)
    notify('onBusy', failing)
    await new Promise(setImmediate)
    t.equal(warnings, 0, 'the same function is not reported twice')
    process.off('warning', count)

    const rejected = warning()
    notify('job.listen', () => Promise.reject('nothing to say'))
    t.match(await rejected, {
      message: '`job.listen` failed, and the run continues: nothing to say',
      detail: undefined,
    })
  },
)

void t.test('an observer may throw anything', async t => {
  const thrown = warning()
  notify('onEvent', () => {
    throw Object.create(null)
  })
  t.match(await thrown, { message: '`onEvent` failed, and the run continues: {}' })
})
