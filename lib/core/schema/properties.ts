import { shapeOf, type AnswerSchema } from './answer-schema.ts'

/** The properties that answers of an object schema have, in their order; undefined for any other schema. */
export function propertiesOf(given: AnswerSchema | undefined): readonly string[] | undefined {
  const schema = given && shapeOf(given).schema
  const properties = schema?.['type'] === 'object' ? schema['properties'] : undefined
  if (typeof properties !== 'object' || properties === null) return undefined
  const names = Object.keys(properties)
  return names.length > 0 ? names : undefined
}
