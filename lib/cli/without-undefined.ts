type Defined<T> = { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>
}

/** An object without the members that are undefined: JSON drops them, and so do comparisons of it. */
export function withoutUndefined<T extends object>(object: T): Defined<T> {
  // Dropping the undefined members is what makes it so.
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}
