import { wrapError } from '../errors.ts'
import { shapeOf } from './answer-schema.ts'
import { loadTransform, type JsonSchema } from './load.ts'

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
  try {
    const shape = shapeOf(schema)
    return {
      type: 'json_schema',
      schema: shape.isTransformed ? shape.schema : loadTransform()(shape.schema),
    }
  } catch (cause) {
    throw wrapError('CBS_OPTION', 'the API does not support this schema', cause)
  }
}
