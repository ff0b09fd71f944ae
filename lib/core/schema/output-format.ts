import { wrapError } from '../errors.ts'
import { shapeOf } from './answer-schema.ts'
import { loadTransform, type JsonSchema } from './load.ts'

/** The part of a request that defines the answer's format: `output_config.format`. */
export interface OutputFormat {
  readonly type: 'json_schema'
  readonly schema: JsonSchema
}

/**
 * The output format for a schema. Keywords that the API does not support (ranges, patterns) become descriptions for the
 * model; the check of the answer enforces them.
 *
 * @throws BatchStreamError `CBS_OPTION` if the API cannot support the schema
 */
export function outputFormat(schema: unknown): OutputFormat {
  try {
    const shape = shapeOf(schema)
    return {
      type: 'json_schema',
      schema: shape.isTransformed ? shape.schema : loadTransform()(shape.schema),
    }
  } catch (cause) {
    throw wrapError('CBS_OPTION', 'the API does not support this schema', cause, 'schema')
  }
}
