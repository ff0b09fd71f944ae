// npm run model: checks model/protocol.pml with Spin. npm run model -- --mutations: Spin must find each known mistake.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    mutations: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
  },
})
const MODEL = join(import.meta.dirname, 'protocol.pml')
const SMALL = ['-DCRASHES=1', '-DFREEZES=2', '-DLOSSES=1']
const LARGE = ['-DCRASHES=2', '-DFREEZES=2', '-DLOSSES=2']

const TWICE = 'assertion violated (accepted<=1)'
const STRANGER = 'assertion violated (id!=9)'
const GIVEN_UP = 'assertion violated (accepted==0)'
const STUCK = 'invalid end state'

/** A check: the mistake that is made, if any, and what Spin must then find. */
const CHECKS = values.mutations
  ? [
      { what: 'deadline not checked before the last byte', flags: ['-DNO_DEADLINE'], finds: TWICE },
      { what: 'armed after the last byte', flags: ['-DARM_LATE'], finds: TWICE },
      { what: 'adopted without proof', flags: ['-DADOPT_BLIND'], finds: STRANGER },
      {
        what: 'resent without a listing after the settle time',
        flags: ['-DNO_LISTING'],
        finds: TWICE,
      },
      {
        what: 'an unknown id given up without a listing',
        flags: ['-DGIVE_UP_BLIND'],
        finds: GIVEN_UP,
      },
      {
        what: 'an unknown id given up before the settle time',
        flags: ['-DGIVE_UP_EARLY'],
        finds: GIVEN_UP,
      },
      {
        what: 'epoch not checked on append: sent twice',
        flags: ['-DNO_EPOCH'],
        run: ['-E'],
        finds: TWICE,
      },
      {
        what: 'epoch not checked on append: never answered',
        flags: ['-DNO_EPOCH'],
        run: ['-A'],
        finds: STUCK,
      },
    ]
  : [
      { what: 'one accepted batch, and no span given up that has one' },
      { what: 'every run ends', compile: ['-DNP'], run: ['-l'] },
      {
        what: 'the documented window: frozen between the check and the system call',
        flags: ['-DWINDOW'],
        finds: TWICE,
      },
    ]

const missing = ['spin', 'gcc'].filter(
  tool => spawnSync(tool, [tool === 'gcc' ? '--version' : '-V']).error,
)
if (missing.length > 0) {
  console.log(
    `the model is not checked: ${missing.join(' and ')} not installed (Debian: apt-get install spin gcc)`,
  )
  process.exit(0)
}

let isBad = false
for (const check of CHECKS) {
  const { found, states } = verify(check)
  const isRight = found === check.finds
  isBad ||= !isRight
  console.log(
    `${isRight ? 'ok ' : 'BAD'}  ${check.what}: ${found === undefined ? 'holds' : `Spin finds "${found}"`}, ${states} states`,
  )
}
process.exit(isBad ? 1 : 0)

/** What Spin finds first, undefined for nothing, and how many states it looked at. */
function verify({ flags = [], compile = ['-DSAFETY'], run = [] }) {
  const folder = mkdtempSync(join(tmpdir(), 'model-'))
  const call = (command, words) => {
    const { status, stdout, stderr, error } = spawnSync(command, words, {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    })
    if (error || status !== 0) throw new Error(`${command} ${words.join(' ')}: ${error ?? stderr}`)
    return stdout
  }
  try {
    call('spin', ['-a', ...(values.large ? LARGE : SMALL), ...flags, MODEL])
    call('gcc', ['-w', '-O2', '-DCOLLAPSE', '-DVECTORSZ=2048', ...compile, '-o', 'pan', 'pan.c'])
    const said = call('./pan', ['-m1000000', ...run])
    if (!/errors: \d/.test(said) || /max search depth too small/.test(said)) throw new Error(said)
    const found = /^pan:\d+: (.*?)(?: \(at depth \d+\))?$/m.exec(said)?.[1]
    const states = Number(/(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored/.exec(said)?.[1])
    return { found, states: states.toLocaleString('en') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
