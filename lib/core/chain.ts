import { Duplex, finished, pipeline, Readable } from 'node:stream'
import type { ReadableStream as WebReadableStream } from 'node:stream/web'
import { BatchStreamError } from './errors.ts'
import { agreeOnPages, offerPages, Page } from './pages.ts'
import {
  give,
  mustTakeObjects,
  prematureClose,
  pushItems,
  standFor,
  typed,
  type ChainedStage,
  type InputOf,
  type OutputFor,
  type OutputOf,
  type Source,
  type Stage,
  type TypeMap,
} from './stage.ts'

/**
 * Several stages as one stream. This is not `stream.compose`: in Node 20 a pipeline hangs when a stage fails that is
 * composed three levels deep, and destroying a composed stream raises an AbortError that may have no listener.
 */
class Chain extends Duplex {
  readonly #stages: readonly Duplex[]
  readonly #head: Duplex
  readonly #tail: Duplex
  /** Resolves when all is written to the last stage, with the error of the first stage that failed. */
  readonly #written: Promise<Error | undefined>
  /** Resolves when every stage is closed, with the error of the first stage that failed. */
  readonly #over: Promise<Error | undefined>
  /** Whether the reader wants more than is buffered. */
  #isHungry = false
  /** Accepts the next chunk once the first stage has room. */
  #drained: (() => void) | undefined
  #givesPages = false

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
    // The pipeline finishes once all is written to the last stage, which may still fail while it is read.
    const read = new Promise<Error | undefined>(resolve => {
      finished(tail, error => resolve(error ?? undefined))
    })
    this.#over = this.#written.then(async error => error ?? (await read))
    void this.#written.then(error => error && this.destroy(error))
    // The pipeline may have released a stage that is still being destroyed: its error must not end the process.
    for (const stage of stages) stage.on('error', error => this.destroy(error))
    head.on('drain', () => {
      const drained = this.#drained
      this.#drained = undefined
      drained?.()
    })
    tail.on('readable', () => this.#pull())
    // As in a Transform, the writable side finishes before the readable side ends.
    tail.on('end', () => void this.#written.then(() => this.destroyed || this.push(null)))
    standFor(this, stages)
    offerPages(this, gives => {
      this.#givesPages = gives
      // This chain is the last stage's only reader, and passes on what it reads.
      if (gives) agreeOnPages(tail)
    })
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
      const isOdd = chunk instanceof Page && !this.#givesPages
      this.#isHungry = isOdd ? pushItems(this, chunk) : give(this, chunk)
    }
  }

  override pipe<To extends NodeJS.WritableStream>(
    destination: To,
    options?: { end?: boolean },
  ): To {
    mustTakeObjects(this, destination)
    return super.pipe(destination, options)
  }

  override destroy(error?: Error | null): this {
    return super.destroy(error ?? prematureClose(this))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const stage of this.#stages) stage.destroy(error ?? undefined)
    void this.#over.then(() => done(error))
  }
}

/** At least one stage, each of any type. */
export type Stages = readonly [Stage<never, unknown>, ...Stage<never, unknown>[]]

/** Stages in a valid order: each takes the output of the previous one. */
export type Linked<T extends readonly unknown[]> = T extends readonly [infer S, ...infer Rest]
  ? [Stage<never, unknown>, ...LinkedFor<Rest, OutputOf<S>>]
  : []

/** The same with `Item` as the input of the first stage. */
export type LinkedFor<T extends readonly unknown[], Item> = T extends readonly [
  infer S,
  ...infer Rest,
]
  ? [Stage<Item, unknown>, ...LinkedFor<Rest, OutputFor<S, Item>>]
  : []

/** The first of several stages. */
export type HeadOf<T extends readonly unknown[]> = T extends readonly [infer S, ...unknown[]]
  ? InputOf<S>
  : never

/** The output type of the last stage. */
export type EndOf<T extends readonly unknown[]> = T extends readonly [infer S, ...infer Rest]
  ? EndFor<Rest, OutputOf<S>>
  : never

/** The same with `Item` as the input of the first stage. */
export type EndFor<T extends readonly unknown[], Item> = T extends readonly [infer S, ...infer Rest]
  ? EndFor<Rest, OutputFor<S, Item>>
  : Item

/** How a chain of these stages maps types. */
export interface ChainMap<T extends readonly unknown[]> extends TypeMap {
  readonly gives: EndFor<T, this['item']>
}

/**
 * Joins any number of stages into one. A wrong order does not compile. An error in any stage ends the chain, and destroying
 * the chain ends every stage.
 */
export function chain<T extends Stages>(
  ...stages: T & Linked<T>
): ChainedStage<HeadOf<T>, EndOf<T>, ChainMap<T>>
export function chain(...stages: Stage<never, unknown>[]): Stage<never, unknown> {
  mustBeUnused(stages)
  if (stages.length === 1 && stages[0]) return stages[0]
  return typed(new Chain(stages))
}

/** A stream that has ended gives nothing more, and no error: its items would be lost. */
function mustBeUnused(streams: readonly unknown[]): void {
  const isUsed = streams.some(
    one => one instanceof Readable && !one.errored && (one.readableEnded || one.destroyed),
  )
  if (isUsed)
    throw new BatchStreamError(
      'CBS_STAGE',
      'a stage or a source has ended already: create new streams for each use',
    )
}

/** A source of items: a list, a generator, a Node stream, or a web stream such as `Response.body`. */
export type Items<T> =
  Iterable<T> | AsyncIterable<T> | globalThis.ReadableStream<T> | WebReadableStream<T>

/** Whether the item type of a source is known; that of a Node stream or an empty list is not. */
export type IsKnown<Item> = 0 extends 1 & Item ? false : [Item] extends [never] ? false : true

/** Stages of which each takes what the previous one emits; the compiler's error shows which one does not fit. */
export type LinkedTo<T extends Stages, Item> =
  IsKnown<Item> extends true ? LinkedFor<T, Item> : Linked<T>

/**
 * A source piped through stages, as one readable stream: `from(createReadStream('a.csv'), parseCsv(), ...)`. It does not
 * compile if the first stage does not take the source's items. Unlike `.pipe()`, it forwards a missing file, an error of a
 * stage and a `break`.
 */
export function from<Item, T extends Stages>(
  source: Items<Item>,
  ...stages: T & LinkedTo<T, NoInfer<Item>>
): Source<IsKnown<Item> extends true ? EndFor<T, Item> : EndOf<T>>
export function from(
  source: Items<unknown>,
  ...stages: Stage<never, unknown>[]
): Stage<never, unknown> {
  mustBeUnused([source, ...stages])
  // `compose` treats its own end as an abort while a stage is still closing, for example a file. `pipeline` also takes
  // iterables and web streams, which this overload's types omit; an error of any stage arrives at the last.
  return typed(pipeline([source as Readable, ...stages], () => {}) as Duplex)
}

/** The typed output items of a stage, for `for await`. Leaving the loop early destroys the whole chain. */
export function each<In, Out>(stage: Stage<In, Out>): AsyncIterable<Out> {
  return stage
}
