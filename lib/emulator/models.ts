/** A model and the rules that depend on it. */
export interface Model {
  readonly id: string
  readonly line: 'haiku' | 'sonnet' | 'opus' | 'fable' | 'mythos'
  /** Generation: 4.5, 5, 5.5. */
  readonly generation: number
  readonly released: string
}

/** The models of the API in autumn 2026, newest first. */
export const MODELS: readonly Model[] = [
  { id: 'claude-fable-5-2', line: 'fable', generation: 5.2, released: '2026-11-09' },
  { id: 'claude-mythos-5-2', line: 'mythos', generation: 5.2, released: '2026-11-09' },
  { id: 'claude-haiku-5-5', line: 'haiku', generation: 5.5, released: '2026-10-07' },
  { id: 'claude-sonnet-5-5', line: 'sonnet', generation: 5.5, released: '2026-09-29' },
  { id: 'claude-opus-5-5', line: 'opus', generation: 5.5, released: '2026-09-08' },
  { id: 'claude-fable-5-1', line: 'fable', generation: 5.1, released: '2026-09-01' },
  { id: 'claude-mythos-5-1', line: 'mythos', generation: 5.1, released: '2026-09-01' },
  { id: 'claude-opus-5', line: 'opus', generation: 5, released: '2026-07-24' },
  { id: 'claude-sonnet-5', line: 'sonnet', generation: 5, released: '2026-07-01' },
  { id: 'claude-fable-5', line: 'fable', generation: 5, released: '2026-06-15' },
  { id: 'claude-mythos-5', line: 'mythos', generation: 5, released: '2026-06-15' },
  { id: 'claude-opus-4-8', line: 'opus', generation: 4.8, released: '2026-05-01' },
  { id: 'claude-mythos-preview', line: 'mythos', generation: 4.6, released: '2026-04-07' },
  { id: 'claude-opus-4-7', line: 'opus', generation: 4.7, released: '2026-04-01' },
  { id: 'claude-sonnet-4-6', line: 'sonnet', generation: 4.6, released: '2026-02-17' },
  { id: 'claude-opus-4-6', line: 'opus', generation: 4.6, released: '2026-02-05' },
  { id: 'claude-opus-4-5-20251101', line: 'opus', generation: 4.5, released: '2025-11-01' },
  { id: 'claude-haiku-4-5-20251001', line: 'haiku', generation: 4.5, released: '2025-10-01' },
  { id: 'claude-sonnet-4-5-20250929', line: 'sonnet', generation: 4.5, released: '2025-09-29' },
]

/** Aliases of dated ids. */
const ALIASES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'claude-haiku-4-5': 'claude-haiku-4-5-20251001',
    'claude-opus-4-5': 'claude-opus-4-5-20251101',
    'claude-sonnet-4-5': 'claude-sonnet-4-5-20250929',
  }),
)

const BY_ID = new Map(MODELS.map(model => [model.id, model]))

/** The model with this id or alias; undefined for an unknown one. */
export function findModel(id: string): Model | undefined {
  return BY_ID.get(ALIASES.get(id) ?? id)
}

/** The highest `max_tokens`. The beta `output-300k` raises it in batches, for the models that the docs name. */
export function maxOutputTokens(model: Model, betas: string): number {
  const long =
    model.line === 'opus'
      ? model.generation >= 4.6
      : model.line === 'sonnet' && [4.6, 5].includes(model.generation)
  if (long && betas.includes('output-300k-2026-03-24')) return 300_000
  return model.generation < 4.6 ? 64_000 : 128_000
}

/** Whether the model thinks on every request. */
export function alwaysThinks(model: Model): boolean {
  return model.line === 'fable' || (model.line === 'opus' && model.generation >= 5.5)
}

/** Whether `tool_choice` may force a tool. */
export function takesForcedTools({ line, generation }: Model): boolean {
  if (line === 'fable') return generation < 5.1
  return !((line === 'opus' || line === 'sonnet') && generation >= 5.5)
}

/** Deprecated models. */
const RETIREMENTS: ReadonlyMap<string, { readonly deprecated: string; readonly retires: string }> =
  new Map([
    [
      'claude-sonnet-4-5-20250929',
      { deprecated: '2026-08-31T00:00:00Z', retires: '2026-11-30T00:00:00Z' },
    ],
    [
      'claude-opus-4-5-20251101',
      { deprecated: '2026-11-20T00:00:00Z', retires: '2027-01-22T00:00:00Z' },
    ],
  ])

/** The model as `/v1/models` shows it. */
export function showModel(model: Model): object {
  const yes = { supported: true }
  const no = { supported: false }
  const thinks = alwaysThinks(model)
  const retirement = RETIREMENTS.get(model.id)
  return {
    type: 'model',
    id: model.id,
    display_name: displayName(model),
    created_at: `${model.released}T00:00:00Z`,
    lifecycle: retirement ? 'deprecated' : 'active',
    deprecated_at: retirement?.deprecated ?? null,
    retires_at: retirement?.retires ?? null,
    line: model.line,
    max_input_tokens: model.line === 'haiku' ? 200_000 : 1_000_000,
    max_tokens: maxOutputTokens(model, ''),
    capabilities: {
      batch: yes,
      citations: yes,
      code_execution: yes,
      context_management: {
        supported: true,
        clear_thinking_20251015: yes,
        clear_tool_uses_20250919: yes,
        compact_20260112: null,
      },
      effort: { supported: true, low: yes, medium: yes, high: yes, xhigh: null, max: yes },
      image_input: yes,
      pdf_input: yes,
      server_tools: { supported: true, code_execution: yes, web_search: yes },
      structured_outputs: yes,
      thinking: {
        supported: true,
        types: {
          adaptive: model.generation >= 4.6 ? yes : no,
          between_tools: no,
          disabled: thinks ? no : yes,
          enabled: model.generation >= 4.7 ? no : yes,
        },
      },
    },
  }
}

function displayName(model: Model): string {
  return `Claude ${model.line.charAt(0).toUpperCase()}${model.line.slice(1)} ${model.generation}`
}
