// How long a user waits for anything at all.
import { fileURLToPath } from 'node:url'
import { measured, medians, PROGRAM } from './run.mjs'
import { table, times } from './table.mjs'

export const question = 'How fast does it start?'

const EMPTY = fileURLToPath(new URL('empty.mjs', import.meta.url))

export async function ask({ smoke, tell }) {
  tell('--version')
  const costs = await medians(smoke ? 1 : 15, {
    'an empty module': () => measured(EMPTY),
    '--version': () => measured(PROGRAM, ['--version']),
    '--help': () => measured(PROGRAM, ['--help']),
  })
  const base = costs['an empty module'].wallS
  return {
    text: table(
      ['case', 'wall, ms', 'CPU, ms', 'wall against an empty module'],
      Object.entries(costs).map(([name, { wallS, cpuS }]) => [
        name,
        (1000 * wallS).toFixed(0),
        (1000 * cpuS).toFixed(0),
        times(wallS / base),
      ]),
    ),
    goals: [
      {
        what: '`--version` against node with an empty module',
        goal: 'hold 1.6x, aim 1.3x (wall)',
        measured: times(costs['--version'].wallS / base),
      },
    ],
  }
}
