/**
 * What a JSON text says, read without JSON.parse: that of Node 24.21 gives some keys with escapes the name of another key.
 * The text must be valid. Numbers and the escapes of one string are JSON.parse's, which are right everywhere.
 */
export function parsed(json: string): unknown {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? []
  let at = 0
  const value = (): unknown => {
    const token = tokens[at++] ?? ''
    if (token === '[') {
      const list: unknown[] = []
      while (tokens[at] !== ']') {
        list.push(value())
        if (tokens[at] === ',') at++
      }
      at++
      return list
    }
    if (token !== '{') return JSON.parse(token)
    const object = {}
    while (tokens[at] !== '}') {
      const key = String(JSON.parse(tokens[at] ?? ''))
      at += 2
      const own = { value: value(), writable: true, enumerable: true, configurable: true }
      Object.defineProperty(object, key, own)
      if (tokens[at] === ',') at++
    }
    at++
    return object
  }
  return value()
}
