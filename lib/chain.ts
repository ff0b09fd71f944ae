import stream, { pipeline, type Duplex, type Readable } from 'node:stream'
import { standFor, typed, type Stage } from './stage.ts'

// Node 20 has stream.compose without declaring it in its types.
const { compose } = stream as typeof stream & { compose(...streams: unknown[]): stream.Duplex }

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
  const whole = compose(...stages)
  standFor(whole, stages)
  return typed(whole)
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
