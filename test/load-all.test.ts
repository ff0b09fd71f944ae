// Every module of lib can be loaded by itself, and loading it does nothing: no output, no listener, no file, no timer. That
// all of them are loaded also makes coverage count those that no other test touches.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { getActiveResourcesInfo } from 'node:process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'

const lib = join(import.meta.dirname, '../lib')
const files = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .sort()

/** How many listen to each event of the process. */
function listeners(): Map<string | symbol, number> {
  return new Map(process.eventNames().map(name => [name, process.listenerCount(name)]))
}

/** What keeps the process alive, without what loading a file takes for a moment. */
function resources(): string[] {
  return getActiveResourcesInfo().filter(name => !/^FSReq|^Immediate$|Pipe|TTY/.test(name))
}

/** What is global, without the dispatcher that undici registers where Node has not done so yet. */
function globalNames(): (string | symbol)[] {
  return Reflect.ownKeys(globalThis).filter(name => !String(name).startsWith('Symbol(undici.'))
}

void t.test('loading a module of lib has no side effects', async t => {
  const before = { resources: resources(), globals: globalNames() }
  const heard = listeners()
  const said = t.capture(process.stdout, 'write', process.stdout.write)
  const complained = t.capture(process.stderr, 'write', process.stderr.write)
  const loaded: Record<string, number> = {}
  for (const file of files) {
    const module: object = await import(pathToFileURL(join(lib, file)).href)
    loaded[file] = Object.keys(module).length
  }
  said.restore()
  complained.restore()
  t.same({ resources: resources(), globals: globalNames() }, before)
  // The test runner may take a listener of its own away meanwhile.
  for (const [name, count] of listeners())
    t.ok(count <= (heard.get(name) ?? 0), `no new listener of ${String(name)}`)
  t.same(said(), [])
  t.same(complained(), [])
  t.ok(files.length > 100)
  // A file that exports nothing at run time holds types alone.
  t.ok((loaded['index.ts'] ?? 0) > 20)
})

void t.test('the package exports every name in its documents', async t => {
  const names = Object.keys(await import('../lib/index.ts'))
  const contract =
    'parseCsv parseJsonl parseJson parseText template spool aggregate submit awaitEnd fetchResults retry ' +
    'writeJsonl writeCsv writeText writeRaw chain from each stage openJob postgresLedger BatchStreamError'
  for (const name of contract.split(' ')) t.ok(names.includes(name), name)
})

void t.test('importing the built package writes nothing to the global object', async t => {
  const script = `
    const before = Reflect.ownKeys(globalThis)
    await import(process.argv[1])
    console.log(Reflect.ownKeys(globalThis).filter(key => !before.includes(key)).map(String).join())`
  for (const entry of ['claude-batch-stream', 'claude-batch-stream/emulator']) {
    const node = ['--input-type=module', '--eval', script, entry]
    const added = execFileSync(process.execPath, node, { encoding: 'utf8' }).trim().split(',')
    // The test runner follows into child processes and has symbols of its own there; undici registers its dispatcher.
    const ours = added.filter(name => name !== '' && !/@tapjs\/|\(undici\./.test(name))
    t.same(ours, [], entry)
  }
})
