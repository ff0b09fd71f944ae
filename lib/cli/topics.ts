import { EXIT_MEANING } from './exit-code.ts'
import { flagVariables, VARIABLES } from './variables.ts'

/** What `help TOPIC` says: one line for the list of topics, and the whole. */
export interface Topic {
  readonly help: string
  text(): string | Promise<string>
}

const FORMATS = `Formats

In (--from), guessed from the name, then from the first bytes; gzip is known by its first bytes, on stdin too:
  csv, tsv   a row is an object of texts; --delimiter, --columns A,B, --no-header,
             --comment '#' (lines that begin so are no rows)
  jsonl      a line is a record, its bytes are kept; a value that is no object is {"input": value}
  json       an element of the array at the top, or at --json-path a.b
  text       a line is {"input": "the line"}
  files      each file is a record: path, name, ext, text; images and PDFs attach themselves
  requests   a Messages request a line: {"custom_id","params"}, or bare params

Out (--to), one row for each record, also where it failed:
  jsonl      the record byte for byte, plus "response" and "_batch"; --emit response: the response alone
  csv, tsv   the input columns, then response, status, error; --csv-safe guards formulas
  text       the response alone, an empty line for a failed row
  raw        the API's own result lines

A row's status is succeeded, incomplete, refused, invalid, errored, expired, canceled, rejected or unanswered.
--errors FILE takes all that is not succeeded out of the output.
`

const TEMPLATES = `Templates

  {{field}}        the field of the record; an unknown one is an error before anything is spent
  {{a.b.0}}        inside of it; a column whose whole name matches comes first
  {{field?}}       empty where it is missing
  {{Issue Text}}   names may hold spaces
  {{$name}}        the value of --var name=VALUE
  {{@json}}        the whole record as JSON

--prompt and --system are templates, and so are --id and --attach. Nothing is escaped, and what a record holds is never read
as a template. What these cannot say, a module can: --template FILE.mjs, export default (record) => text or params.

Without --prompt a record's own "params" is asked, else its "messages", else its "prompt".
`

const RESUME = `Going on

Ctrl-C, a closed terminal, a crash or a full disk lose nothing: batches go on at the API, and the last line on stderr is the
command that continues. The same command again does so, too.

  claude-batch-stream ... --job NAME --detach   submit, leave
  claude-batch-stream status NAME               what it is doing
  claude-batch-stream resume NAME               wait, fetch, print
  claude-batch-stream results NAME              print again, free
  claude-batch-stream retry NAME                ask again for the failed rows only

A file named with --output gets each row exactly once, however often a run is interrupted; on stdout a resumed job prints all of
its rows again. A batch whose create nobody answered is looked for, never sent again blindly (--settle).
`

const COST = `Cost

A batch costs half of the list price.

Before: estimate says what a run would cost, --dry-run on a run the same; --exact samples the free token counter.
During: --max-cost USD sends no batch that could make the job cost more with all that is in flight at its worst (exit 4).
After:  the summary says what was spent, what was expected and what synchronous calls would have cost; status --json, too.

Only answers are billed: errored, expired and canceled requests are free. Prices stand in a table (help prices); a model that
is not in it has none until --price IN,OUT gives one.
`

export const TOPICS: Readonly<Record<string, Topic>> = {
  formats: { help: 'what goes in and comes out', text: () => FORMATS },
  templates: { help: 'what a prompt can say', text: () => TEMPLATES },
  environment: { help: 'the variables that are read', text: environment },
  'exit-codes': { help: 'what the exit says', text: exitCodes },
  resume: { help: 'stopping and going on', text: () => RESUME },
  cost: { help: 'before, during and after', text: () => COST },
  prices: {
    help: 'what tokens cost',
    text: async () => (await import('./help-prices.ts')).pricesHelp(),
  },
  man: {
    help: 'all of it as a man page: help man | man -l -',
    text: async () => (await import('./man.ts')).manPage(),
  },
}

function environment(): string {
  const lines = VARIABLES.map(({ names, help }) => `  ${names.padEnd(26)}${help}`)
  const flags = flagVariables().map(name => `  ${name}`)
  const heads = ['Environment', '', ...lines, '']
  return [
    ...heads,
    'Each flag can be a variable. The command line comes before it, --config FILE and your own config.json after it:',
    ...flags,
    '',
  ].join('\n')
}

function exitCodes(): string {
  // The numbers come first in an object, in their order.
  const lines = Object.entries(EXIT_MEANING).map(
    ([code, meaning]) => `  ${code.padEnd(20)}${meaning.replaceAll('`', '')}`,
  )
  const last = 'Wherever a job can go on, the last line on stderr is the command that continues it.'
  return ['Exit codes', '', ...lines, '', last, ''].join('\n')
}
