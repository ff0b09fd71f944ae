import type { Ajv } from 'ajv'
import { createRequire } from 'node:module'

/** A parsed JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>

const require = createRequire(import.meta.url)

/** A validator for the schema's draft. It is loaded lazily because few runs need it. */
export function loadValidator({ $schema }: JsonSchema): Ajv {
  // Unknown keywords and formats are only hints for the model.
  const options = {
    ...{ strict: false, logger: false, validateFormats: false },
    // 1e999 is Infinity for JSON.parse, which is no number in a schema.
    strictNumbers: true,
  } as const
  // The package declares one type for all of these modules.
  const isOld = typeof $schema === 'string' && /draft-0[67]/.test($schema)
  const loaded = require(isOld ? 'ajv' : 'ajv/dist/2020') as {
    default: new (options: object) => Ajv
  }
  return new loaded.default(options)
}

/** The SDK's transformation of a schema into the form that the API accepts. */
export function loadTransform(): (schema: JsonSchema) => JsonSchema {
  // The module declares the same function, with a narrower schema type.
  const loaded = require('@anthropic-ai/sdk/lib/transform-json-schema') as {
    transformJSONSchema(schema: JsonSchema): JsonSchema
  }
  return loaded.transformJSONSchema
}
