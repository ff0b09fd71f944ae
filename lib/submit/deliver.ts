import type { Api } from '../api/api.ts'
import { failureOf } from '../api/failure.ts'
import { createdId } from '../api/remote-batch.ts'
import type { Clock } from '../clock.ts'
import { BatchStreamError } from '../errors.ts'
import type { Job } from '../job/job.ts'
import { SILENCE_MS } from '../limits.ts'
import { outcomeOf, type Outcome } from './outcome.ts'
import { ownedBy } from './owned.ts'
import { sendBody, type Sending } from './send-body.ts'

/** How long the API may take to answer once it has a whole body: it reads hundreds of MB before it does. */
const ANSWER_MS = 5 * SILENCE_MS

/** Sends one sealed batch once and says what came of it. The journal says `armed` before the last byte goes out. */
export async function deliver(
  job: Job,
  api: Api,
  number: number,
  signal: AbortSignal,
): Promise<Outcome> {
  const { bytes, hash } = job.batch(number)
  const file = await job.disk.open(job.path(number, 'body'), 'read')
  const sending: Sending = { whole: false, over: false }
  const silence = new Silence(job.clock, signal)
  let arming: Promise<void> = Promise.resolve()
  const arm = (): Promise<void> => {
    const serverAt = job.serverTime.sure()
    arming = job.note({ type: 'armed', number, at: job.clock.now(), serverAt }, true)
    return arming
  }
  let outcome: Outcome
  try {
    const body = sendBody(file, { size: bytes, hash }, sending, arm, () =>
      silence.moved(sending.whole ? ANSWER_MS : SILENCE_MS),
    )
    const answer = await api.create(body, bytes, silence.signal)
    outcome = created(job, answer, sending)
  } catch (cause) {
    // From here on the last byte cannot go out any more, whatever is awaited.
    sending.over = true
    if (signal.aborted) throw signal.reason
    if (cause instanceof BatchStreamError) throw cause
    await api.hear(cause)
    const failure = failureOf(rootCause(cause), job.serverTime.nowOrOurs())
    outcome = outcomeOf(failure, sending.whole)
  } finally {
    sending.over = true
    silence.over()
    // An answer that came while the batch was being armed must not be acted on before the journal says so.
    await arming.catch(() => {})
    await file.close()
  }
  return outcome
}

function created(job: Job, answer: unknown, sending: Sending): Outcome {
  const id = createdId(answer)
  // An earlier answer may come once more, from a proxy: it says nothing of this batch.
  if (id !== undefined && !ownedBy(job).includes(id)) return { kind: 'created', id }
  const what = id === undefined ? 'not a batch' : `batch ${id}, which another create has made`
  return outcomeOf(failureOf(new Error(`the answer to the create is ${what}`), 0), sending.whole)
}

/** What our own body generator threw comes back wrapped by fetch and the SDK; a disk or journal error must be seen as such. */
function rootCause(cause: unknown): unknown {
  for (let inner = cause; inner instanceof Error; inner = inner.cause)
    if (inner instanceof BatchStreamError) throw inner
  return cause
}

/** Aborts a call when nothing has moved for too long. */
class Silence {
  readonly #clock: Clock
  readonly #outer: AbortSignal
  readonly #abort = new AbortController()
  readonly #done = new AbortController()
  readonly signal: AbortSignal
  #last: number
  #limitMs = SILENCE_MS

  constructor(clock: Clock, outer: AbortSignal) {
    this.#clock = clock
    this.#outer = outer
    this.#last = clock.elapsed()
    this.signal = AbortSignal.any([outer, this.#abort.signal])
    this.#watch().catch(() => {})
  }

  moved(limitMs: number): void {
    this.#last = this.#clock.elapsed()
    this.#limitMs = limitMs
  }

  over(): void {
    this.#done.abort()
  }

  async #watch(): Promise<void> {
    const stop = AbortSignal.any([this.#outer, this.#done.signal])
    for (;;) {
      const left = this.#last + this.#limitMs - this.#clock.elapsed()
      if (left <= 0) return this.#abort.abort()
      await this.#clock.sleep(left, stop)
    }
  }
}
