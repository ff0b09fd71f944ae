import { Transform, Writable, type Duplex, type Readable, type TransformOptions } from 'node:stream'
import { BatchStreamError, wrapError, wrongOption } from './errors.ts'
import { narrow, offerPages, Page, takePages } from './pages.ts'
import type { AnswerSchema } from './schema/answer-schema.ts'

/** For each chained stream, its last stage. */
const lastStages: WeakMap<Readable, Readable> = new WeakMap()

/** Options of a stage: those of a Transform, and whether it takes pages (pages.ts) as well as single items. */
export interface StageOptions extends TransformOptions {
  readonly takesPages?: boolean
}

/** The base class of all stages that are Transforms. */
export class StageTransform extends Transform {
  /** The stage that this one is piped into. It then reports early stops in place of this stage. */
  #successor: StageTransform | undefined
  #stopReason: Error | undefined
  #predecessor: StageTransform | undefined
  #givesPages = false

  constructor({ takesPages = false, ...options }: StageOptions = {}) {
    super(options)
    if (takesPages) takePages(this)
    offerPages(this, gives => (this.#givesPages = gives))
    this.on('pipe', (source: Readable) => {
      const last = lastStages.get(source) ?? source
      if (!(last instanceof StageTransform)) return
      last.#successor = this
      this.#predecessor = last
    })
  }

  /** Whether the reader takes pages. */
  protected get givesPages(): boolean {
    return this.#givesPages
  }

  /** A digest of the options that determine requests; undefined if no `template` is piped into this stage. */
  get templateDigest(): string | undefined {
    return this.#predecessor?.templateDigest
  }

  /** The schema of answers; undefined if no `template` with a schema is piped into this stage. */
  get answerSchema(): AnswerSchema | undefined {
    return this.#predecessor?.answerSchema
  }

  /**
   * Called at the end of each stage from `submit` on. If submission stopped, the last of these stages fails with the reason
   * once all its rows have been read; the stages before it end normally.
   */
  async reportStop(reason?: Error): Promise<void> {
    const found = reason ?? this.#stopReason
    if (!found) return
    if (this.#successor) {
      this.#successor.#stopReason = found
      return
    }
    await this.#allRead()
    throw found
  }

  /** Resolves when the reader has taken everything or the stage is closed. */
  #allRead(): Promise<void> {
    return new Promise(resolve => {
      if (this.readableLength === 0) return resolve()
      const { read } = this
      // Node calls `_read` only while it expects more; every reader calls `read`.
      this.read = (size?: number): unknown => {
        const chunk: unknown = read.call(this, size)
        if (this.readableLength === 0) resolve()
        return chunk
      }
      this.once('close', resolve)
    })
  }

  /**
   * Pushes nothing after `destroy()`, above all no end. If the next stream throws in `write` instead of calling back, the
   * error comes out of `push`; it is that stream's own error, so it ends the pipeline unchanged.
   */
  override push(value: unknown, encoding?: BufferEncoding): boolean {
    if (this.destroyed) return false
    if (value instanceof Page && !this.#givesPages) return pushItems(this, value)
    try {
      return super.push(value, encoding)
    } catch (cause) {
      // Node accepts any thrown value here; its types want an error.
      this.destroy(cause as Error)
      return false
    }
  }

  /** Its name, if it gives objects that a stream of bytes cannot take. */
  get givesObjects(): string | undefined {
    return undefined
  }

  override pipe<To extends NodeJS.WritableStream>(
    destination: To,
    options?: { end?: boolean },
  ): To {
    mustTakeObjects(this, destination)
    return super.pipe(destination, options)
  }

  /**
   * Reports a premature close if the stage is destroyed before its end in a pipeline. Node alone would treat a stage whose
   * last chunk was pushed as finished, and the pipeline as successful.
   */
  override destroy(error?: Error | null): this {
    return super.destroy(error ?? prematureClose(this))
  }
}

/** Makes a chain represent its first stage as a destination and its last stage as a source. */
export function standFor(whole: Duplex, stages: readonly Duplex[]): void {
  const first = stages[0]
  const last = stages.at(-1)
  if (last) lastStages.set(whole, lastStages.get(last) ?? last)
  whole.on('pipe', source => {
    first?.emit('pipe', source)
    if (first?.writableHighWaterMark === 1) narrow(whole)
  })
}

/**
 * Fails a stage or chain that is piped into a stream of bytes although it gives objects: before anything is sent, since the rows would
 * be lost after they were paid for.
 */
export function mustTakeObjects(from: Readable, destination: NodeJS.WritableStream): void {
  const last = lastStages.get(from) ?? from
  const name = last instanceof StageTransform ? last.givesObjects : undefined
  if (name === undefined || !(destination instanceof Writable) || destination.writableObjectMode)
    return
  const why = `${name} gives objects, and the next stream takes bytes: put a stage between them that formats rows, such as writeJsonl()`
  // A pipeline hears of it once it has joined all of its streams.
  process.nextTick(() => from.destroy(new BatchStreamError('CBS_STAGE', why)))
}

/** Pushes the items of a page to a reader that takes single items. */
export function pushItems(stream: Duplex, page: Page<unknown>): boolean {
  let hasRoom = true
  for (const item of page) hasRoom = stream.push(item)
  return hasRoom
}

/** The error of a stream destroyed before its end; undefined if nothing listens for errors or it has ended. */
export function prematureClose(stream: Duplex): Error | undefined {
  if (stream.destroyed || stream.readableEnded || stream.listenerCount('error') === 0)
    return undefined
  return Object.assign(new Error('the stage was destroyed before its end'), {
    code: 'ERR_STREAM_PREMATURE_CLOSE',
  })
}

declare const flow: unique symbol
declare const carries: unique symbol

/** A stream from `In` to `Out`. Types are checked where stages are joined and cost nothing at run time. */
export interface Stage<In, Out> extends Duplex {
  readonly [flow]?: (input: In) => Out
}

/** How a stage maps types: `gives` follows from `item`, the type of its input. Compile time only. */
export interface TypeMap {
  /** The item that the stage takes. */
  readonly item: unknown
  /** The item that it then emits. */
  readonly gives: unknown
}

/** The output type is the input type. */
export interface SameType extends TypeMap {
  readonly gives: this['item']
}

/** A stage that passes on the types of fields and answers: its output type follows from its input type. */
export interface CarryingStage<In, Out, Map extends TypeMap> extends Stage<In, Out> {
  readonly [carries]?: Map
}

/** Several stages as one, whose output items are typed in a `for await` loop. */
export interface ChainedStage<In, Out, Map extends TypeMap> extends CarryingStage<In, Out, Map> {
  [Symbol.asyncIterator](): ReturnType<Readable[typeof Symbol.asyncIterator]> &
    NodeJS.AsyncIterator<Out>
}

/** A readable stream of typed items: `for await` and `pipeline` both take it. */
export interface Source<Out> extends Stage<never, Out> {
  [Symbol.asyncIterator](): ReturnType<Readable[typeof Symbol.asyncIterator]> &
    NodeJS.AsyncIterator<Out>
}

/** The input type of a stage. */
export type InputOf<S> = S extends Stage<infer In, unknown> ? In : never

/** The output type of a stage. */
export type OutputOf<S> = S extends Stage<never, infer Out> ? Out : never

/** The output type of a stage for the input type `Item`. */
export type OutputFor<S, Item> = [TypeMapOf<S>] extends [never]
  ? OutputOf<S>
  : TypeMapOf<S> extends TypeMap
    ? (TypeMapOf<S> & { readonly item: Item })['gives']
    : never

/** The type map of a stage. */
export type TypeMapOf<S> = S extends { readonly [carries]?: infer Map }
  ? Map extends TypeMap
    ? Map
    : never
  : never

/** Adds element types to a plain stream. */
export function typed<In, Out>(stream: Readable): Stage<In, Out> {
  // The phantom property exists only for the compiler.
  return stream as Stage<In, Out>
}

/** What a user's function may return: a value, nothing (the item is dropped), or several values. */
export type Given<Out> = Out | undefined | Iterable<Out> | AsyncIterable<Out>

/**
 * A stage made from a function, which is called for one item at a time. It may be async. `undefined` drops the item; an
 * iterable (other than a string or Buffer) emits each of its values. An exception ends the pipeline with `CBS_STAGE`.
 */
export function stage<In, Out>(fn: (item: In) => Given<Out> | Promise<Given<Out>>): Stage<In, Out> {
  if (typeof fn !== 'function') throw wrongOption('fn', 'a function', fn)
  async function* call(item: In): AsyncGenerator<Out> {
    const given = await fn(item)
    if (given === undefined || given === null) return
    if (!isMany(given)) return yield given
    // A null would end the stream, so it is dropped like a single one.
    for await (const one of given) if (one !== undefined && one !== null) yield one
  }
  const through = new StageTransform({
    objectMode: true,
    // Rejections become stream errors here: an async transform that rejects would hang the pipeline.
    transform(item: In, _encoding, done) {
      pushAll(through, call(item)).then(
        () => done(),
        cause => done(wrapError('CBS_STAGE', 'the function of a stage failed', cause)),
      )
    },
    flush(done) {
      through.reportStop().then(() => done(), done)
    },
  })
  return typed(through)
}

function isMany<Out>(
  given: Out | Iterable<Out> | AsyncIterable<Out>,
): given is Iterable<Out> | AsyncIterable<Out> {
  if (typeof given !== 'object' || given === null || given instanceof Uint8Array) return false
  return Symbol.iterator in given || Symbol.asyncIterator in given
}

/** Pushes like a `StageTransform`, for another kind of stream. */
export function give(stream: Duplex, value: unknown): boolean {
  try {
    return stream.push(value)
  } catch (cause) {
    // Node accepts any thrown value here; its types want an error.
    stream.destroy(cause as Error)
    return false
  }
}

/**
 * Pushes every value of a sequence at the reader's pace: `push` returns false when the buffer is full, and the next `_read`
 * resumes. It stops when the stream is destroyed. A stage whose `_destroy` waits for this function passes a signal that it
 * aborts there, since `close` comes only after `_destroy`.
 */
export async function pushAll<T>(
  stream: Transform,
  values: AsyncIterable<T> | Iterable<T>,
  signal?: AbortSignal,
): Promise<void> {
  const isFull = (value: T): boolean => !stream.push(value) && !stream.destroyed
  if (Symbol.asyncIterator in values) {
    for await (const value of values) {
      if (stream.destroyed) return
      if (isFull(value)) await readAgain(stream, signal)
    }
    return
  }
  // `for await` would cost a promise and three turns for each value.
  for (const value of values) {
    if (stream.destroyed) return
    if (isFull(value)) await readAgain(stream, signal)
  }
}

/** Resolves when the reader asks for more, the stream is closed or the signal aborts. */
function readAgain(stream: Duplex, signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    const read = stream._read
    const go = (): void => {
      stream._read = read
      stream.off('close', go)
      signal?.removeEventListener('abort', go)
      resolve()
    }
    stream.once('close', go)
    signal?.addEventListener('abort', go)
    stream._read = size => {
      go()
      read.call(stream, size)
    }
  })
}
