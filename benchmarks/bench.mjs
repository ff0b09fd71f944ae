// `npm run bench` runs every benchmark and writes RESULTS.md with its plots. `npm run bench -- NAME ...` runs some and replaces only
// their results. --smoke runs all with small inputs, to check that they work, and writes nothing.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { plot } from './plot.mjs'
import { machine, table } from './table.mjs'

const NAMES = [
  'results',
  'copy',
  'memory',
  'submit',
  'job',
  'ledger',
  'reuse',
  'jsonl',
  'csv',
  'schedule',
  'startup',
  'chain',
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false } },
})
const unknown = positionals.find(name => !NAMES.includes(name))
if (unknown !== undefined) {
  process.stderr.write(`there is no benchmark ${unknown}: ${NAMES.join(', ')}\n`)
  process.exit(2)
}

const here = path => new URL(path, import.meta.url)
const names = positionals.length > 0 ? positionals : NAMES
for (const [index, name] of names.entries()) {
  const tell = what => process.stderr.write(`${index + 1}/${names.length} ${name}: ${what}\n`)
  const { question, ask } = await import(`./${name}.mjs`)
  const { text, goals, plot: drawing } = await ask({ smoke: values.smoke, tell })
  process.stdout.write(`\n${question}\n\n${text}\n`)
  if (values.smoke) continue
  mkdirSync(here('answers'), { recursive: true })
  if (drawing) writeFileSync(here(`answers/${name}.svg`), await plot(drawing))
  const answer = { question, measured: machine(), text, goals, plot: drawing?.title }
  writeFileSync(here(`answers/${name}.json`), `${JSON.stringify(answer, null, 2)}\n`)
}
if (!values.smoke) writeFileSync(here('RESULTS.md'), render())

function render() {
  const answers = NAMES.flatMap(name => {
    try {
      return [{ name, ...JSON.parse(readFileSync(here(`answers/${name}.json`))) }]
    } catch {
      return []
    }
  })
  const goals = answers.flatMap(({ goals }) => goals)
  const parts = [
    '# Results',
    readFileSync(here('CAVEAT.md'), 'utf8').trim(),
    '## Goals',
    table(
      ['what', 'goal', 'measured'],
      goals.map(({ what, goal, measured }) => [what, goal, measured]),
    ),
    readFileSync(here('MISSED.md'), 'utf8').trim(),
    ...answers.flatMap(({ name, question, measured, text, plot: title }) => [
      `## ${question}`,
      `[${name}.mjs](${name}.mjs), ${measured}`,
      text,
      ...(title ? [`![${title}](answers/${name}.svg)`] : []),
    ]),
  ]
  return `${parts.join('\n\n')}\n`
}
