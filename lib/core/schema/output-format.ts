import { wrapError } from '../errors.ts'
import { checkSchema, loadTransform, type JsonSchema } from './load.ts'

/** What a request says of its answer's shape: `output_config.format`. */
export interface OutputFormat {
  readonly type: 'json_schema'
  readonly schema: JsonSchema
}

/**
 * The format that asks for answers of a schema. Keywords that the API does not take (ranges, patterns) go into
 * descriptions, for the model to read; the check of the answer knows them all.
 *
 * @throws BatchStreamError `CBS_OPTION` where the API could not take the schema
 */
export function outputFormat(schema: unknown): OutputFormat {
  checkSchema(schema)
  try {
    return { type: 'json_schema', schema: loadTransform()(schema) }
  } catch (cause) {
    throw wrapError('CBS_OPTION', 'the schema cannot be asked for', cause)
  }
}
