import type { Usage } from '../../lib/core/results/result.ts'

/** Prices copied again from the pricing page, in micro-dollars per million tokens: input, output, 5m, 1h, read. */
const MICRO: Readonly<Record<string, readonly number[]>> = {
  'claude-fable-5-2': [8_000_000, 40_000_000, 10_000_000, 16_000_000, 200_000],
  'claude-fable-5-1': [10_000_000, 50_000_000, 12_500_000, 20_000_000, 250_000],
  'claude-mythos-5': [10_000_000, 50_000_000, 12_500_000, 20_000_000, 1_000_000],
  'claude-opus-5-5': [4_000_000, 20_000_000, 5_000_000, 8_000_000, 200_000],
  'claude-opus-4-8': [5_000_000, 25_000_000, 6_250_000, 10_000_000, 500_000],
  'claude-sonnet-5-5': [2_000_000, 10_000_000, 2_500_000, 4_000_000, 100_000],
  'claude-sonnet-4-6': [3_000_000, 15_000_000, 3_750_000, 6_000_000, 300_000],
  'claude-haiku-5-5': [100_000, 500_000, 125_000, 200_000, 10_000],
  'claude-haiku-4-5': [1_000_000, 5_000_000, 1_250_000, 2_000_000, 100_000],
}

export interface Counted {
  readonly usage: Usage
  readonly model: string
  /** Batch cost and list price, in twentieths of a micro-dollar per million tokens. */
  readonly twentieths: bigint
  readonly list: bigint
}

/** Random usages and their costs, computed without the code under test. The same seed gives the same usages. */
export function* randomUsages(count: number, seed: number): Generator<Counted> {
  let state = seed
  const below = (most: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * most)
  }
  const models = Object.keys(MICRO)
  for (let i = 0; i < count; i++) {
    const model = models[below(models.length)] as string
    const most = 10 ** below(7)
    const tokens: number[] = [0, 1, 2, 3, 4].map(() => (below(3) === 0 ? 0 : below(most)))
    // A usage of no prompt is not believed.
    if (tokens.every((tokensOf, kind) => tokensOf === 0 || kind === 1)) tokens[0] = 1
    const [input = 0, output = 0, write5m = 0, write1h = 0, read = 0] = tokens
    const isUs = below(4) === 0
    const isBatch = below(8) !== 0
    const searches = below(10) === 0 ? below(5) : 0
    const isLong = model === 'claude-haiku-5-5' && input + write5m + write1h + read > 100_000
    const base = tokens.reduce(
      (sum, tokensOf, kind) => sum + BigInt(tokensOf) * BigInt(MICRO[model]?.[kind] ?? 0),
      0n,
    )
    const list = base * (isLong ? 5n : 1n) * (isUs ? 22n : 20n)
    // A search costs a cent: 10,000 micro-dollars, here per million tokens and in twentieths.
    const web = BigInt(searches) * 10_000n * 1_000_000n * 20n
    yield {
      model,
      list: list + web,
      twentieths: list / (isBatch ? 2n : 1n) + web,
      usage: {
        input_tokens: input,
        output_tokens: output,
        cache_creation_input_tokens: write5m + write1h,
        cache_read_input_tokens: read,
        cache_creation: { ephemeral_5m_input_tokens: write5m, ephemeral_1h_input_tokens: write1h },
        service_tier: isBatch ? 'batch' : 'standard',
        inference_geo: isUs ? 'us' : 'global',
        ...(searches > 0 && { server_tool_use: { web_search_requests: searches } }),
      },
    }
  }
}
