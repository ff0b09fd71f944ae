import type { Ajv } from 'ajv'
import { createRequire } from 'node:module'

/** A JSON Schema, as JSON.parse gives it. */
export type JsonSchema = Readonly<Record<string, unknown>>

const require = createRequire(import.meta.url)

/** A validator for the schema's own draft. It is loaded here and not above, as few runs need it. */
export function loadValidator({ $schema }: JsonSchema): Ajv {
  // Keywords and formats that it does not know are the model's to read; they decide nothing here.
  const options = { strict: false, logger: false, validateFormats: false } as const
  // What each of these modules exports is of the one type that the package declares for all of them.
  const isOld = typeof $schema === 'string' && /draft-0[67]/.test($schema)
  const loaded = require(isOld ? 'ajv' : 'ajv/dist/2020') as {
    default: new (options: object) => Ajv
  }
  return new loaded.default(options)
}

/** The SDK's transformation of a schema into what the API takes. */
export function loadTransform(): (schema: JsonSchema) => JsonSchema {
  // The module says the same of its one function, with a narrower type of schema.
  const loaded = require('@anthropic-ai/sdk/lib/transform-json-schema') as {
    transformJSONSchema(schema: JsonSchema): JsonSchema
  }
  return loaded.transformJSONSchema
}
