/** A command that takes flags of the table. */
export type CommandName =
  | 'run'
  | 'resume'
  | 'status'
  | 'report'
  | 'list'
  | 'results'
  | 'retry'
  | 'cancel'
  | 'estimate'
  | 'doctor'
  | 'rm'
  | 'prune'
  | 'emulate'

/** One flag: parsing, the environment, config files, help and checks all come from this table. */
export interface OptionSpec {
  /** Its long name without dashes. */
  readonly name: string
  readonly short?: string
  /** What its value is called in the help; none for a switch. */
  readonly arg?: string
  /** Its value may be left out: it is a switch, too. */
  readonly maybe?: true
  /** May be given several times. */
  readonly many?: true
  /** The values that it takes, where they are few. */
  readonly choices?: readonly string[]
  /** A switch that turns off what is on by default: `--no-header`. */
  readonly negative?: true
  readonly help: string
  /** The default as the help says it. */
  readonly fallback?: string
  readonly on: readonly CommandName[]
  readonly group: Group
}

export type Group =
  'Input' | 'Request' | 'Batches' | 'Output' | 'Money' | 'Job' | 'API' | 'Messages'

const RUN: readonly CommandName[] = ['run']
/** Commands that read records and make requests of them. */
const ASKS: readonly CommandName[] = ['run', 'estimate']
const ROWS: readonly CommandName[] = ['run', 'resume', 'retry', 'results']
const WORK: readonly CommandName[] = ['run', 'resume', 'retry']
const API: readonly CommandName[] = [
  'run',
  'resume',
  'retry',
  'results',
  'status',
  'list',
  'cancel',
  'doctor',
]
const JOBS: readonly CommandName[] = [...API, 'report', 'rm', 'prune']
const ALL: readonly CommandName[] = [...JOBS, 'estimate', 'emulate']

export const OPTIONS: readonly OptionSpec[] = [
  {
    group: 'Input',
    name: 'input',
    short: 'i',
    arg: 'FILE',
    many: true,
    fallback: '-',
    on: ASKS,
    help: 'files, quoted patterns (*.csv), or - for stdin; gzip is unpacked',
  },
  {
    group: 'Input',
    name: 'from',
    arg: 'FORMAT',
    choices: ['auto', 'csv', 'tsv', 'jsonl', 'json', 'text', 'files', 'requests'],
    fallback: 'auto',
    on: ASKS,
    help: 'csv, tsv, jsonl, json, text, files (each is a record), requests; guessed from the name, then the first bytes',
  },
  {
    group: 'Input',
    name: 'delimiter',
    arg: 'CHAR',
    fallback: 'detected: , ; | or a tab',
    on: ASKS,
    help: 'what separates CSV fields; \\t is a tab',
  },
  {
    group: 'Input',
    name: 'columns',
    arg: 'A,B',
    on: ASKS,
    help: 'names the columns of a CSV file without a header',
  },
  {
    group: 'Input',
    name: 'header',
    negative: true,
    on: ASKS,
    help: 'the CSV file has no header: columns are column1, column2 ...',
  },
  {
    group: 'Input',
    name: 'comment',
    arg: 'STRING',
    on: ASKS,
    help: 'passes over lines of a CSV file that begin with it, such as #',
  },
  {
    group: 'Input',
    name: 'json-path',
    arg: 'a.b',
    on: ASKS,
    help: 'where the array of records is in a JSON document',
  },
  { group: 'Input', name: 'limit', arg: 'N', on: ASKS, help: 'only so many records' },
  { group: 'Input', name: 'skip', arg: 'N', on: ASKS, help: 'leave out the first N records' },
  {
    group: 'Input',
    name: 'max-invalid',
    arg: 'N|P%',
    fallback: '1000',
    on: [...ASKS, 'resume'],
    help: 'bad records before the run stops (exit 4)',
  },
  {
    group: 'Input',
    name: 'max-record-bytes',
    arg: 'SIZE',
    fallback: '16MB',
    on: ASKS,
    help: 'a longer record is a rejected row',
  },

  {
    group: 'Request',
    name: 'prompt',
    short: 'p',
    arg: 'TEXT',
    on: ASKS,
    help: 'the user message, a template: {{field}}',
  },
  {
    group: 'Request',
    name: 'prompt-file',
    short: 'f',
    arg: 'FILE',
    on: ASKS,
    help: 'the same, from a file',
  },
  {
    group: 'Request',
    name: 'system',
    short: 's',
    arg: 'TEXT',
    on: ASKS,
    help: 'the system prompt, a template',
  },
  { group: 'Request', name: 'system-file', arg: 'FILE', on: ASKS, help: 'the same, from a file' },
  {
    group: 'Request',
    name: 'template',
    arg: 'FILE.mjs',
    on: ASKS,
    help: 'a module: export default (fields, record) => text or params',
  },
  {
    group: 'Request',
    name: 'cache',
    arg: 'prime',
    maybe: true,
    on: ASKS,
    help: 'keep the system prompt (without fields), or the tools, in the prompt cache for an hour; prime: fill it by a first batch of one request',
  },
  {
    group: 'Request',
    name: 'schema',
    arg: 'FILE',
    on: ASKS,
    help: 'a JSON Schema: answers are JSON of it, and each is checked',
  },
  {
    group: 'Request',
    name: 'attach',
    arg: 'TEMPLATE',
    many: true,
    on: ASKS,
    help: 'the path of a file to send along: an image, a PDF or a text',
  },
  {
    group: 'Request',
    name: 'ask-failed',
    on: ASKS,
    help: 'send records that are failed rows of an earlier run, too; by default they pass through unsent, with the status they have',
  },
  {
    group: 'Request',
    name: 'var',
    arg: 'KEY=VALUE',
    many: true,
    on: ASKS,
    help: 'the value of {{$KEY}}',
  },
  {
    group: 'Request',
    name: 'model',
    short: 'm',
    arg: 'ID',
    fallback: '$ANTHROPIC_MODEL, else claude-haiku-5-5',
    on: ASKS,
    help: 'the model',
  },
  {
    group: 'Request',
    name: 'max-tokens',
    short: 't',
    arg: 'N',
    fallback: '1024',
    on: ASKS,
    help: 'answer tokens at most',
  },
  {
    group: 'Request',
    name: 'param',
    arg: 'KEY=JSON',
    many: true,
    on: ASKS,
    help: 'any other Messages parameter',
  },
  { group: 'Request', name: 'params', arg: 'FILE', on: ASKS, help: 'the same, from a JSON file' },
  {
    group: 'Request',
    name: 'id',
    arg: 'TEMPLATE',
    fallback: 'generated',
    on: ASKS,
    help: 'custom_id, verbatim: 1 to 64 of A-Z a-z 0-9 _ -',
  },
  {
    group: 'Request',
    name: 'dry-run',
    short: 'n',
    on: RUN,
    help: 'read, render, check and count; sends nothing',
  },
  {
    group: 'Request',
    name: 'show',
    arg: 'N',
    on: RUN,
    help: 'print the first N requests as JSON lines; sends nothing',
  },
  {
    group: 'Request',
    name: 'preflight',
    negative: true,
    on: WORK,
    help: 'skip the free token-count call that proves key and model',
  },

  {
    group: 'Batches',
    name: 'batch-size',
    arg: 'N',
    fallback: '10000',
    on: ASKS,
    help: 'requests in a batch, at most 100000',
  },
  {
    group: 'Batches',
    name: 'batch-bytes',
    arg: 'SIZE',
    fallback: '64MB',
    on: ASKS,
    help: 'bytes in a batch, at most 250MB',
  },
  {
    group: 'Batches',
    name: 'batch-wait',
    arg: 'DUR',
    on: ASKS,
    help: 'send a part-full batch when input has been quiet this long (tail -f)',
  },
  {
    group: 'Batches',
    name: 'dedupe',
    on: RUN,
    help: 'ask identical requests once; each of their rows has the answer (batches then come in input order)',
  },
  {
    group: 'Batches',
    name: 'canary',
    arg: 'N',
    on: RUN,
    help: 'send the first N records alone; the rest waits for their answers (exit 4 if there is none)',
  },
  {
    group: 'Batches',
    name: 'concurrency',
    short: 'c',
    arg: 'N|auto',
    fallback: '10',
    on: ROWS,
    help: "batches in flight; auto: as many as the API's queue takes",
  },
  {
    group: 'Batches',
    name: 'poll',
    arg: 'DUR',
    fallback: '5s rising to 60s',
    on: ROWS,
    help: 'time between looks at the API',
  },
  {
    group: 'Batches',
    name: 'settle',
    arg: 'DUR',
    fallback: '10m',
    on: ROWS,
    help: 'how long an unknown create is looked for before it is sent again',
  },
  {
    group: 'Batches',
    name: 'retries',
    arg: 'N',
    fallback: '2',
    on: RUN,
    help: 'new tries of expired and server-error rows',
  },
  {
    group: 'Batches',
    name: 'retry-incomplete',
    on: ['run', 'retry'],
    help: 'also try answers again that --max-tokens cut, with twice as many, as far as the model goes',
  },

  {
    group: 'Output',
    name: 'output',
    short: 'o',
    arg: 'FILE',
    fallback: '-',
    on: [...ROWS, 'report'],
    help: 'where rows, or the page of a report, go; a file is written exactly once',
  },
  {
    group: 'Output',
    name: 'to',
    arg: 'FORMAT',
    choices: ['jsonl', 'csv', 'tsv', 'text', 'raw'],
    fallback: 'jsonl',
    on: ROWS,
    help: 'jsonl, csv, tsv, text, raw',
  },
  {
    group: 'Output',
    name: 'order',
    arg: 'ORDER',
    choices: ['completion', 'input'],
    fallback: 'completion',
    on: ROWS,
    help: 'input, or completion: batches as they end; rows asked again come last',
  },
  {
    group: 'Output',
    name: 'emit',
    arg: 'WHAT',
    choices: ['merged', 'response'],
    fallback: 'merged',
    on: ROWS,
    help: 'merged: record and response; response: that alone',
  },
  {
    group: 'Output',
    name: 'response-field',
    arg: 'NAME',
    fallback: 'response',
    on: [...ROWS, 'estimate'],
    help: 'the field of the answer',
  },
  {
    group: 'Output',
    name: 'meta-field',
    arg: 'NAME|none',
    fallback: '_batch',
    on: [...ROWS, 'estimate'],
    help: 'the field that says what became of the record',
  },
  {
    group: 'Output',
    name: 'blocks',
    on: ROWS,
    help: 'keep what is no text in an answer (thinking, tool_use ...) in _batch.blocks',
  },
  { group: 'Output', name: 'errors', arg: 'FILE', on: ROWS, help: 'failed rows go there instead' },
  {
    group: 'Output',
    name: 'output-columns',
    arg: 'A,B',
    fallback: 'all fields',
    on: ROWS,
    help: 'the input columns of a CSV or TSV table; other fields are left out',
  },
  { group: 'Output', name: 'csv-safe', on: ROWS, help: 'guard spreadsheet formulas in CSV output' },

  {
    group: 'Money',
    name: 'max-cost',
    arg: 'USD',
    fallback: 'none',
    on: WORK,
    help: 'no batch is sent that could make the job cost more, at the worst of everything (exit 4)',
  },
  {
    group: 'Money',
    name: 'price',
    arg: 'IN,OUT',
    fallback: 'help prices',
    on: [...WORK, 'status', 'report', 'estimate'],
    help: 'list prices in USD per million tokens, as a pricing page has them; batches are billed at half',
  },
  {
    group: 'Money',
    name: 'row-cost',
    on: ROWS,
    help: 'each row says what its answer cost: _batch.cost_usd',
  },
  {
    group: 'Money',
    name: 'exact',
    on: ['estimate'],
    help: 'count the tokens of a sample of the requests by the API, which is free',
  },

  {
    group: 'Job',
    name: 'on-complete',
    arg: 'CMD',
    on: WORK,
    help: 'a shell command to run when the job ends, with its summary as JSON on stdin',
  },
  {
    group: 'Job',
    name: 'notify',
    arg: 'URL',
    on: WORK,
    help: 'POST that summary there; signed if $CLAUDE_BATCH_STREAM_NOTIFY_SECRET is set',
  },
  { group: 'Job', name: 'job', arg: 'NAME', on: RUN, help: 'name the job, to go on with it later' },
  {
    group: 'Job',
    name: 'fresh',
    on: RUN,
    help: 'start a new job even if this command has one, unfinished or finished',
  },
  {
    group: 'Job',
    name: 'detach',
    on: WORK,
    help: 'submit, print the job name, exit; resume fetches',
  },
  {
    group: 'Job',
    name: 'state-dir',
    arg: 'DIR',
    fallback: '~/.local/state/claude-batch-stream',
    on: JOBS,
    help: 'where jobs are kept',
  },
  {
    group: 'Job',
    name: 'keep',
    arg: 'DUR',
    fallback: '30d',
    on: ['run', 'prune'],
    help: 'how long to keep the job after it finishes; prune deletes finished jobs that are older',
  },
  {
    group: 'Job',
    name: 'dry-run',
    short: 'n',
    on: ['prune'],
    help: 'list the jobs that would be deleted; deletes nothing',
  },

  {
    group: 'API',
    name: 'base-url',
    arg: 'URL',
    fallback: '$ANTHROPIC_BASE_URL',
    on: [...API, 'estimate'],
    help: 'https, or http on this machine',
  },
  {
    group: 'API',
    name: 'api-key-file',
    arg: 'FILE',
    fallback: '$ANTHROPIC_API_KEY',
    on: [...API, 'estimate'],
    help: 'read the key from a file',
  },
  {
    group: 'API',
    name: 'workspace',
    arg: 'ID',
    on: [...API, 'estimate'],
    help: 'the workspace header',
  },
  {
    group: 'API',
    name: 'beta',
    arg: 'NAME',
    many: true,
    on: ASKS,
    help: 'anthropic-beta for every batch',
  },
  {
    group: 'API',
    name: 'emulate',
    on: RUN,
    help: 'run against the built-in emulator: no key, no cost',
  },
  { group: 'API', name: 'remote', on: ['list'], help: 'the batches of the workspace' },
  {
    group: 'API',
    name: 'port',
    arg: 'N',
    fallback: 'any',
    on: ['emulate'],
    help: 'port of 127.0.0.1',
  },
  {
    group: 'API',
    name: 'batch-time',
    arg: 'DUR',
    fallback: '1s',
    on: ['run', 'emulate'],
    help: 'how long an emulated batch takes',
  },
  {
    group: 'API',
    name: 'faults',
    arg: 'FILE',
    on: ['emulate'],
    help: 'a JSON file of faults to act out',
  },

  { group: 'Messages', name: 'json', on: ['status', 'list', 'estimate'], help: 'as JSON' },
  {
    group: 'Messages',
    name: 'watch',
    on: ['status'],
    help: 'again and again, until it is finished',
  },
  { group: 'Messages', name: 'yes', short: 'y', on: ALL, help: 'ask nothing: yes' },
  { group: 'Messages', name: 'input', negative: true, on: ALL, help: 'ask nothing: no' },
  {
    group: 'Messages',
    name: 'config',
    arg: 'FILE',
    on: ALL,
    help: 'flags from a JSON object, by their long names; before the one in ~/.config/claude-batch-stream/config.json',
  },
  {
    group: 'Messages',
    name: 'progress',
    arg: 'HOW',
    choices: ['auto', 'bar', 'plain', 'json', 'none'],
    fallback: 'auto',
    on: ROWS,
    help: 'bar: a line that is redrawn; plain: a line for each event; json: events as JSON lines; none; auto: bar on a terminal, else plain',
  },
  {
    group: 'Messages',
    name: 'events',
    arg: 'FILE',
    on: ROWS,
    help: 'events as JSON lines, added to a file',
  },
  {
    group: 'Messages',
    name: 'log-format',
    arg: 'FORMAT',
    choices: ['text', 'json'],
    fallback: 'text',
    on: ALL,
    help: 'text, or json: messages as JSON lines',
  },
  {
    group: 'Messages',
    name: 'color',
    arg: 'WHEN',
    choices: ['auto', 'always', 'never'],
    fallback: 'auto',
    on: ALL,
    help: 'auto, always, never; NO_COLOR, FORCE_COLOR and TERM=dumb are heard',
  },
  {
    group: 'Messages',
    name: 'quiet',
    short: 'q',
    on: ALL,
    help: 'only errors and the command that continues',
  },
  {
    group: 'Messages',
    name: 'verbose',
    short: 'v',
    many: true,
    on: ALL,
    help: 'more; -vv with stacks',
  },
]

/** The flags of a command, in the order of the table. */
export function optionsOf(command: CommandName): OptionSpec[] {
  return OPTIONS.filter(({ on }) => on.includes(command))
}

/** The flags that a command accepts. `estimate` accepts all of `run`, so that one word in front of a command prices it. */
export function acceptedBy(command: CommandName): OptionSpec[] {
  if (command !== 'estimate') return optionsOf(command)
  return OPTIONS.filter(({ on }) => on.includes('estimate') || on.includes('run'))
}
