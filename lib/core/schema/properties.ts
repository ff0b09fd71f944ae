import type { JsonSchema } from './load.ts'

/** The properties that answers of an object schema have, in their order; undefined for any other schema. */
export function propertiesOf(schema: JsonSchema | undefined): readonly string[] | undefined {
  const properties = schema?.['type'] === 'object' ? schema['properties'] : undefined
  if (typeof properties !== 'object' || properties === null) return undefined
  const names = Object.keys(properties)
  return names.length > 0 ? names : undefined
}
