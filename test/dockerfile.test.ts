// The image cannot be built without an engine; this lints the Dockerfile and checks what it says against the package.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { validate } from 'dockerfile-utils'
import { EXIT } from '../lib/cli/exit-code.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const dockerfile = read('Dockerfile')
const about: {
  bin: Record<string, string>
  engines: { node: string }
  files: string[]
  devDependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional: boolean }>
} = JSON.parse(read('package.json'))

void t.test('a linter has nothing to say about the Dockerfile', async t => {
  const messages = (text: string): unknown[] => validate(text).map(({ message }) => message)
  t.same(messages(dockerfile), [])
  t.same(messages(dockerfile.replace('USER node', 'USR node').replace('/data\nU', 'data\nU')), [
    'WORKDIR paths should be absolute',
    'Unknown instruction: USR',
  ])
})

void t.test('the image starts the packaged program without privileges', async t => {
  const last = dockerfile.slice(dockerfile.lastIndexOf('FROM '))
  const start: string[] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(last)?.[1] ?? '[]')
  const [program = ''] = Object.values(about.bin)
  t.same(start, ['node', join('/app', program)])
  t.match(last, /^USER node$/m)
  t.match(last, /^VOLUME \/state$/m)
  const [, least = ''] = /(\d+)/.exec(about.engines.node) ?? []
  for (const [, node] of dockerfile.matchAll(/^FROM node:(\d+)-slim/gm))
    t.ok(Number(node) >= Number(least), `node ${node}`)
})

void t.test('the image contains the peers that the program needs, in locked versions', async t => {
  const [, list = ''] = /const name of \[([^\]]*)\]\) p\.dependencies/.exec(dockerfile) ?? []
  const installed = [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name)
  const required = Object.keys(about.peerDependencies).filter(
    name => !about.peerDependenciesMeta[name]?.optional,
  )
  for (const name of required) t.ok(installed.includes(name), name)
  for (const name of installed) t.match(about.devDependencies[name] ?? '', /^\d/, name)
})

void t.test('the build context contains each packed file and no secret', async t => {
  const ignored = read('.dockerignore').trim().split('\n')
  for (const file of about.files.filter(name => !/^!|^dist/.test(name)))
    t.notOk(ignored.includes(file.split('/')[0] ?? ''), file)
  for (const name of ['.git', '.env*', 'dist', '**/node_modules'])
    t.ok(ignored.includes(name), name)
})

void t.test(
  'the failure policy in the documents stops at exit codes that a restart does not change',
  async t => {
    const [, codes = ''] = /operator: In, values: \[(.*?)\]/.exec(read('docs/operations.md')) ?? []
    const { answered, api, disk, inFlight, closedReader, hangup, interrupt, terminate } = EXIT
    const others: number[] = [
      answered,
      api,
      disk,
      inFlight,
      closedReader,
      hangup,
      interrupt,
      terminate,
    ]
    t.same(
      codes.split(', ').map(Number),
      Object.values(EXIT).filter(code => !others.includes(code)),
    )
  },
)
