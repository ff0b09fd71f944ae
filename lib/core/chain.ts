import { Duplex, finished, pipeline, type Readable } from 'node:stream'
import { give, prematureClose, standFor, typed, type Stage } from './stage.ts'

/**
 * Several stages as one stream. Not `stream.compose`: in Node 20 a pipeline hangs when a stage fails that is composed three
 * levels deep, and destroying what it gives is an AbortError that nobody may be listening for.
 */
class Chain extends Duplex {
  readonly #stages: readonly Duplex[]
  readonly #head: Duplex
  readonly #tail: Duplex
  /** Resolves when all is written to the last stage, with the error of the first that failed. */
  readonly #written: Promise<Error | undefined>
  /** Resolves when every stage is closed, with the error of the first that failed. */
  readonly #over: Promise<Error | undefined>
  /** Whether the reader asks for more than it has. */
  #isHungry = false
  /** Takes the next chunk once the first stage has room. */
  #drained: (() => void) | undefined

  constructor(stages: readonly Duplex[]) {
    // chain() is never called without stages.
    const [head, tail] = [stages[0], stages.at(-1)] as [Duplex, Duplex]
    super({
      writableObjectMode: head.writableObjectMode,
      readableObjectMode: tail.readableObjectMode,
      readableHighWaterMark: tail.readableHighWaterMark,
      writableHighWaterMark: head.writableHighWaterMark,
    })
    this.#stages = stages
    this.#head = head
    this.#tail = tail
    this.#written = new Promise<Error | undefined>(resolve => {
      pipeline([...stages], error => resolve(error ?? undefined))
    })
    // The pipeline is done with the last stage once all is written to it; what it still has to give may fail, too.
    const read = new Promise<Error | undefined>(resolve => {
      finished(tail, error => resolve(error ?? undefined))
    })
    this.#over = this.#written.then(async error => error ?? (await read))
    void this.#written.then(error => error && this.destroy(error))
    // The pipeline may have let go of a stage that is still being destroyed: its error must not end the process.
    for (const stage of stages) stage.on('error', error => this.destroy(error))
    head.on('drain', () => {
      const drained = this.#drained
      this.#drained = undefined
      drained?.()
    })
    tail.on('readable', () => this.#pull())
    // As of a Transform, the writable side finishes before the readable side ends.
    tail.on('end', () => void this.#written.then(() => this.destroyed || this.push(null)))
    standFor(this, stages)
  }

  override _write(chunk: unknown, encoding: BufferEncoding, done: () => void): void {
    if (this.#head.write(chunk, encoding)) done()
    else this.#drained = done
  }

  override _final(done: () => void): void {
    this.#head.end()
    void this.#written.then(() => done())
  }

  override _read(): void {
    this.#isHungry = true
    this.#pull()
  }

  #pull(): void {
    while (this.#isHungry && !this.destroyed) {
      const chunk: unknown = this.#tail.read()
      if (chunk === null) return
      this.#isHungry = give(this, chunk)
    }
  }

  override destroy(error?: Error | null): this {
    return super.destroy(error ?? prematureClose(this))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const stage of this.#stages) stage.destroy(error ?? undefined)
    void this.#over.then(() => done(error))
  }
}

/** Eight stages in a row, which the longer forms begin with. */
type Eight<A, B, C, D, E, F, G, H, I> = [
  first: Stage<A, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, F>,
  sixth: Stage<F, G>,
  seventh: Stage<G, H>,
  eighth: Stage<H, I>,
]

/**
 * Joins stages into one. A wrong order does not compile. An error in any of them ends the whole; destroying the whole
 * ends each of them.
 */
export function chain<A, B>(first: Stage<A, B>): Stage<A, B>
export function chain<A, B, C>(first: Stage<A, B>, second: Stage<B, C>): Stage<A, C>
export function chain<A, B, C, D>(
  first: Stage<A, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
): Stage<A, D>
export function chain<A, B, C, D, E>(
  first: Stage<A, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
): Stage<A, E>
export function chain<A, B, C, D, E, F>(
  first: Stage<A, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, F>,
): Stage<A, F>
export function chain<A, B, C, D, E, F, G>(
  first: Stage<A, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, F>,
  sixth: Stage<F, G>,
): Stage<A, G>
export function chain<A, B, C, D, E, F, G, H>(
  first: Stage<A, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, F>,
  sixth: Stage<F, G>,
  seventh: Stage<G, H>,
): Stage<A, H>
export function chain<A, B, C, D, E, F, G, H, I>(
  ...stages: Eight<A, B, C, D, E, F, G, H, I>
): Stage<A, I>
export function chain<A, B, C, D, E, F, G, H, I, J>(
  ...stages: [...Eight<A, B, C, D, E, F, G, H, I>, Stage<I, J>]
): Stage<A, J>
export function chain<A, B, C, D, E, F, G, H, I, J, K>(
  ...stages: [...Eight<A, B, C, D, E, F, G, H, I>, Stage<I, J>, Stage<J, K>]
): Stage<A, K>
export function chain<A, B, C, D, E, F, G, H, I, J, K, L>(
  ...stages: [...Eight<A, B, C, D, E, F, G, H, I>, Stage<I, J>, Stage<J, K>, Stage<K, L>]
): Stage<A, L>
export function chain<A, B, C, D, E, F, G, H, I, J, K, L, M>(
  ...stages: [
    ...Eight<A, B, C, D, E, F, G, H, I>,
    Stage<I, J>,
    Stage<J, K>,
    Stage<K, L>,
    Stage<L, M>,
  ]
): Stage<A, M>
export function chain(...stages: Stage<never, unknown>[]): Stage<never, unknown> {
  if (stages.length === 1 && stages[0]) return stages[0]
  return typed(new Chain(stages))
}

/**
 * A source with stages behind it, as one readable stream: `from(createReadStream('a.csv'), parseCsv(), ...)`. A missing
 * file, a stage's error and a `break` all arrive where they should, which `.pipe()` does not do.
 */
export function from<Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  stage: Stage<never, Out>,
): Stage<never, Out>
export function from<B, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  first: Stage<never, B>,
  second: Stage<B, Out>,
): Stage<never, Out>
export function from<B, C, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  first: Stage<never, B>,
  second: Stage<B, C>,
  third: Stage<C, Out>,
): Stage<never, Out>
export function from<B, C, D, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  first: Stage<never, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, Out>,
): Stage<never, Out>
export function from<B, C, D, E, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  first: Stage<never, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, Out>,
): Stage<never, Out>
export function from<B, C, D, E, F, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  first: Stage<never, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, F>,
  sixth: Stage<F, Out>,
): Stage<never, Out>
export function from<B, C, D, E, F, G, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  first: Stage<never, B>,
  second: Stage<B, C>,
  third: Stage<C, D>,
  fourth: Stage<D, E>,
  fifth: Stage<E, F>,
  sixth: Stage<F, G>,
  seventh: Stage<G, Out>,
): Stage<never, Out>
export function from<B, C, D, E, F, G, H, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: Eight<never, B, C, D, E, F, G, H, Out>
): Stage<never, Out>
export function from<B, C, D, E, F, G, H, I, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: [...Eight<never, B, C, D, E, F, G, H, I>, Stage<I, Out>]
): Stage<never, Out>
export function from<B, C, D, E, F, G, H, I, J, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: [...Eight<never, B, C, D, E, F, G, H, I>, Stage<I, J>, Stage<J, Out>]
): Stage<never, Out>
export function from<B, C, D, E, F, G, H, I, J, K, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: [...Eight<never, B, C, D, E, F, G, H, I>, Stage<I, J>, Stage<J, K>, Stage<K, Out>]
): Stage<never, Out>
export function from<B, C, D, E, F, G, H, I, J, K, L, Out>(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: [
    ...Eight<never, B, C, D, E, F, G, H, I>,
    Stage<I, J>,
    Stage<J, K>,
    Stage<K, L>,
    Stage<L, Out>,
  ]
): Stage<never, Out>
export function from(
  source: Readable | Iterable<unknown> | AsyncIterable<unknown>,
  ...stages: Stage<never, unknown>[]
): Stage<never, unknown> {
  // Not compose: it takes its own end for an abort when a stage is not closed yet, such as one that lets go of a file.
  // pipeline takes iterables too, which the types of this form of it do not say; an error of any stage arrives at the last.
  return typed(pipeline([source as Readable, ...stages], () => {}) as Duplex)
}

/** The items of a stage's end, typed, for `for await`. Leaving the loop early destroys the whole chain. */
export function each<In, Out>(stage: Stage<In, Out>): AsyncIterable<Out> {
  return stage
}
