import t from 'tap'
import { secretForms, withoutSecrets } from '../../lib/core/without-keys.ts'

const KEY = 'gw/AbCd+12345678/xyz=='
const FORMS = secretForms(KEY)

const percent = (text: string): string => encodeURIComponent(text)
const each = (text: string, escape: (code: string, character: string) => string): string =>
  [...text].map(one => escape(one.charCodeAt(0).toString(16).padStart(2, '0'), one)).join('')

const ECHOES: Readonly<Record<string, string>> = {
  'as it is': KEY,
  'percent-encoded': percent(KEY),
  'percent-encoded in lower case': percent(KEY).replaceAll(/%../g, one => one.toLowerCase()),
  'percent-encoded in mixed case': percent(KEY).replace('%2F', '%2f').replace('%3D', '%3d'),
  'percent-encoded twice': percent(percent(KEY)),
  'percent-encoded three times': percent(percent(percent(KEY))),
  'percent-encoded in each character': each(KEY, code => `%${code}`),
  'partly percent-encoded': KEY.replace('/', '%2f'),
  'with hexadecimal entities': each(KEY, code => `&#x${code.toUpperCase()};`),
  'with decimal entities': KEY.replaceAll('/', '&#47;').replaceAll('+', '&#043;'),
  'with named entities': KEY.replaceAll('/', '&sol;').replaceAll('=', '&equals;'),
  'with entities of entities': KEY.replaceAll('/', '&amp;#47;'),
  'with entities in JSON': KEY.replaceAll('/', '\\u0026#x2F;'),
  'escaped as in JSON': KEY.replaceAll('/', '\\/'),
  'escaped as in Markdown': KEY.replaceAll(/\W/g, one => `\\${one}`),
  'escaped as in Markdown in JSON': KEY.replaceAll(/\W/g, one => `\\\\${one}`),
  'with unicode escapes': KEY.replaceAll('/', '\\u002f'),
  'with unicode escapes in JSON in JSON': each(KEY, code => `\\\\\\u00${code.toUpperCase()}`),
}

for (const [name, echo] of Object.entries(ECHOES)) {
  void t.test(`a key that is echoed ${name} is removed`, t => {
    t.equal(withoutSecrets(`<${echo}>, "${echo}" &c. 5%`, FORMS), '<***>, "***" &c. 5%')
    t.end()
  })
}

void t.test('a key inside a base64 text is removed, wherever it begins', t => {
  // Other bytes than these have other digits for offset 0, 1 and 2.
  for (const key of [KEY, '~~~???>>>gateway-of-7', 'one-of-ascii-only-01'])
    for (const before of ['', ':', 'me:', 'x-api-key:', '{"k":"', 'ab'])
      for (const alphabet of ['base64', 'base64url'] as const) {
        const forms = secretForms(key)
        const echo = Buffer.from(`${before}${key}!`).toString(alphabet)
        for (const text of [echo, percent(echo), echo.replaceAll('/', '\\/')]) {
          const clean = withoutSecrets(`${text} &`, forms)
          t.match(clean, /^[\w-]*\*\*\*[\w%=-]* &$/, text)
          const left = clean
            .split('***')
            .map(part => Buffer.from(part, 'base64').toString('latin1'))
          // At most the parts of two characters remain on each side.
          t.notOk(left.some(part => part.includes(key.slice(0, 3)) || part.includes(key.slice(-3))))
        }
      }
  t.end()
})

void t.test('a key of any characters is removed', t => {
  for (const key of [
    '100%-sure&amp;-%41-key',
    '%41%42%43%44&#69;-0123',
    'back\\slash\\\\es-01',
    'größer-als-0123',
    'a'.repeat(20),
  ]) {
    const forms = secretForms(key)
    const utf8 = Buffer.from(key).toString('latin1')
    for (const echo of [
      key,
      JSON.stringify(key).slice(1, -1),
      percent(key),
      percent(percent(key)),
      encodeURI(key),
      percent(JSON.stringify(key).slice(1, -1)),
      percent(key).replaceAll('%26', '&#38;'),
      utf8,
    ])
      for (const more of ['', ' 5% & \\'])
        t.equal(withoutSecrets(`<${echo}>${more}`, forms), `<***>${more}`, echo)
  }
  t.end()
})

void t.test('what is left of JSON can be parsed', t => {
  for (const text of [`{"a":"\\${KEY}"}`, `{"a":"\\\\\\${KEY}${KEY}\\n"}`])
    t.match(JSON.parse(withoutSecrets(text, FORMS)), { a: /^\*\*\*/ })
  t.end()
})

void t.test('a text without the key stays as it is, and so does every text with a short key', t => {
  for (const text of [
    '',
    '100% & more\\n',
    '%zz %2 &#; &#x; &unknown; \\u12',
    'gw%2FAbCd+1234567',
    '%2525252F&amp;amp;',
  ])
    t.equal(withoutSecrets(text, FORMS), text)
  for (const key of ['a', '1234567', '', null, undefined]) t.same(secretForms(key), [])
  t.equal(withoutSecrets('a%61&#97;', secretForms('a')), 'a%61&#97;')
  t.end()
})

/** The CPU time that a text of one part, repeated, takes in ms. */
function cpuMs(start: string, part: string, bytes: number): number {
  const began = process.cpuUsage()
  withoutSecrets(start + part.repeat(bytes / part.length), FORMS)
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000
}

void t.test('ten times the text takes about ten times as long', t => {
  for (const part of ['\\', '\\u', '%', '%25', '&', '&amp;', '&#0', '0', '25', `${KEY}%`])
    for (const start of ['', '%', '&#', '\\']) {
      // Quadratic work takes a hundred times as long. 10 ms cover what does not depend on the text.
      const small = cpuMs(start, part, 100_000)
      const large = cpuMs(start, part, 1_000_000)
      t.ok(large < 40 * (small + 10), `${start}${part}: ${small} and ${large} ms`)
    }
  t.end()
})
