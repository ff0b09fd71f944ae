/** An object whose members are read by name. */
export type Fields = Readonly<Record<string, unknown>>

/**
 * The type of a value after JSON.stringify and JSON.parse: dates become strings, functions and `undefined` disappear, and a
 * member that may be `undefined` is optional. `unknown` stays `unknown`, and `any` becomes `unknown`.
 */
export type Jsonify<T> = 0 extends 1 & T
  ? unknown
  : unknown extends T
    ? unknown
    : T extends string | number | boolean | null
      ? T
      : T extends bigint | symbol | undefined | Callable
        ? never
        : T extends { toJSON(...args: never): infer Written }
          ? Jsonify<Written>
          : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
            ? Record<string, never>
            : T extends ArrayBufferView
              ? Record<string, number>
              : T extends readonly unknown[]
                ? { [Index in keyof T]: Jsonify<T[Index]> | NullFor<T[Index]> }
                : Flat<
                    {
                      [Key in keyof T as Kept<T, Key, 'always'>]: Jsonify<T[Key]>
                    } & {
                      [Key in keyof T as Kept<T, Key, 'perhaps'>]?: Jsonify<Exclude<T[Key], Lost>>
                    }
                  >

/** Any function. */
export type Callable = (...args: never) => unknown

/** What JSON omits from an object, and writes as null in an array. */
export type Lost = undefined | symbol | Callable

/** `null` for a type that has values which JSON writes as null in an array, else `never`. */
export type NullFor<T> = Extract<T, Lost> extends never ? never : null

/** The keys that JSON always writes, or those that it may write; keys that it never writes are in neither. */
export type Kept<T, Key extends keyof T, How extends 'always' | 'perhaps'> = Key extends symbol
  ? never
  : unknown extends T[Key]
    ? How extends 'always'
      ? Key
      : never
    : [Exclude<T[Key], Lost>] extends [never]
      ? never
      : How extends ([Extract<T[Key], Lost>] extends [never] ? 'always' : 'perhaps')
        ? Key
        : never

/** An intersection of object types as one object type. */
export type Flat<T> = { [Key in keyof T]: T[Key] }

/** The fields of a record made from a value of this type; `Fields` if the type is unknown. */
export type FieldsFrom<T> = 0 extends 1 & T
  ? Fields
  : Jsonify<T> extends infer J extends object
    ? J
    : Fields

/** For a function that does not name its fields: fields of any type, read by name. */
export type AnyOr<F extends object> = [Fields] extends [F] ? object : F
