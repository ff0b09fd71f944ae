import { existsSync } from 'node:fs'

/** Options of a test that needs a path which only some systems have, such as /dev/full; the report gives the reason. */
export function needs(path: string): { readonly skip: false | string } {
  return { skip: !existsSync(path) && `this system has no ${path}` }
}
