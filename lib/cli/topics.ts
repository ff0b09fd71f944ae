import { EXIT_MEANING } from './exit-code.ts'
import { wrapItems } from './wrap.ts'
import { flagVariables, VARIABLES } from './variables.ts'

/** A help topic: one line for the list of topics, and its text. */
export interface Topic {
  readonly help: string
  /** The text for a screen width. */
  text(width: number): string | Promise<string>
}

const FORMATS = `Formats

Input (--from): detected by the file name, then by the first bytes; so is gzip,
on stdin too.
  csv, tsv   a row is an object of strings; see --delimiter, --columns A,B,
             --no-header, --comment '#' (skips lines that start with #)
  jsonl      one record per line, kept byte for byte; a value that is not an
             object becomes {"input": value}
  json       the elements of the top-level array, or of the array at
             --json-path a.b
  text       one record per line: {"input": "the line"}
  parquet    a row is an object with the types of its columns
  files      one record per file: path, name, ext, text; images and PDFs are
             attached to the request
  requests   one Messages request per line: {"custom_id","params"}, or params

Output (--to): one row per record, even if the record failed.
  jsonl      the record byte for byte, plus "response" and "_batch";
             with --emit response, only the response
  csv, tsv   the fields of all records, or --output-columns A,B, then
             response, status, error; --csv-safe protects against
             spreadsheet formulas
  parquet    the columns of csv, with types; not to a terminal
  text       only the response; an empty line if the record failed
  raw        the API's own result lines

The status of a row is succeeded, incomplete, refused, invalid, errored,
expired, canceled, rejected or unanswered. A record that is a failed row of an
earlier run passes through unsent, counted as skipped (--ask-failed sends it).
--errors FILE writes the rows that are not succeeded to FILE instead of the
output.
`

const TEMPLATES = `Templates

  {{field}}        a field of the record; if a CSV file has no such column, the
                   run stops before anything is sent
  {{a.b.0}}        a value inside a field; a column with this whole name wins
  {{field?}}       the same, but empty if the field is missing or null
  {{Issue Text}}   a field name can contain spaces
  {{$name}}        the value of --var name=VALUE
  {{@json}}        the whole record as JSON

--prompt, --system, --id and --attach are templates. Values are inserted as
they are; template syntax inside a value has no effect. If you need more, write
a module: --template FILE.mjs, with export default (fields, record) => text or
params.

Without --prompt, the "params" of each record is the request, else its
"messages", else its "prompt".
`

const RESUME = `Resume

Ctrl-C, a closed terminal, a crash or a full disk lose nothing: the API keeps
working on its batches, and the last line on stderr is the command that resumes
the job. Running the same command again also resumes it.

  claude-batch-stream ... --job NAME --detach   submit and exit
  claude-batch-stream status NAME               show the progress
  claude-batch-stream resume NAME               wait, fetch, print the rows
  claude-batch-stream results NAME              print the rows again, free
  claude-batch-stream retry NAME                retry only the failed rows

A file named by --output gets every row exactly once, no matter how often the
run is interrupted. On stdout, a resumed job prints all its rows again. If a
submission gets no reply, the job searches for its batch at the API for the
settle time (--settle) before it submits it again. With --id, only you can tell
whose batch it finds: --adopt BATCH_ID adopts it, --adopt none does not.
`

const COST = `Cost

A batch costs half of the list price.

Before: estimate prints what a run would cost, and so does run --dry-run;
        with --exact, the free token counter counts a sample.
During: --max-cost USD never sends a batch whose worst-case cost would exceed
        the cap, together with all that is spent or in flight (exit 4).
After:  the summary and status --json show what the job cost, what was expected
        and what synchronous calls would have cost.

Only answers are billed: requests that errored, expired or were canceled are
free. A table has the prices (help prices). If a model is not in it, give its
price with --price IN,OUT.
`

export const TOPICS: Readonly<Record<string, Topic>> = {
  formats: { help: 'input and output formats', text: () => FORMATS },
  templates: { help: 'fields in prompts', text: () => TEMPLATES },
  environment: { help: 'environment variables', text: environment },
  'exit-codes': { help: 'exit codes', text: exitCodes },
  resume: { help: 'stopping and resuming a job', text: () => RESUME },
  cost: { help: 'the cost before, during and after a run', text: () => COST },
  prices: {
    help: 'prices of tokens',
    text: async () => (await import('./help-prices.ts')).pricesHelp(),
  },
  man: {
    help: 'the man page: help man | man -l -',
    text: async () => (await import('./man.ts')).manPage(),
  },
}

async function environment(width: number): Promise<string> {
  const items = VARIABLES.map(({ names, help }) => [names, help] as const)
  const flags = flagVariables().map(name => `  ${name}`)
  return [
    ...['Environment', '', ...(await wrapItems(items, width)), ''],
    'Every flag can be an environment variable. The command line wins over it; it',
    'wins over --config FILE and your own config.json:',
    ...flags,
    '',
  ].join('\n')
}

async function exitCodes(width: number): Promise<string> {
  // Object keys that are numbers come first, in ascending order.
  const items = Object.entries(EXIT_MEANING).map(
    ([code, meaning]) => [code, meaning.replaceAll('`', '')] as const,
  )
  const last = 'If a job can be resumed, the last line on stderr is the command that does it.'
  return ['Exit codes', '', ...(await wrapItems(items, width)), '', last, ''].join('\n')
}
