import { PRICES } from '../cost/prices.ts'

/** A command that takes flags of the table. */
export type CommandName =
  | 'run'
  | 'resume'
  | 'status'
  | 'report'
  | 'list'
  | 'results'
  | 'merge'
  | 'diff'
  | 'retry'
  | 'cancel'
  | 'estimate'
  | 'doctor'
  | 'rm'
  | 'prune'
  | 'emulate'

/** A flag. Parsing, the environment, config files, help and checks all use this table. */
export interface OptionSpec {
  /** Its long name without dashes. */
  readonly name: string
  readonly short?: string
  /** The name of its value in help; none for a switch. */
  readonly arg?: string
  /** Its value is optional, so it is a switch too. */
  readonly maybe?: true
  /** May be given several times. */
  readonly many?: true
  /** The allowed values, if there are few. */
  readonly choices?: readonly string[]
  /** Values that shells complete, for a flag that also takes others. */
  readonly values?: () => readonly string[]
  /** A switch that turns off a default: `--no-header`. */
  readonly negative?: true
  readonly help: string
  /** The default, as help shows it. */
  readonly fallback?: string
  readonly on: readonly CommandName[]
  readonly group: OptionGroup
}

export type OptionGroup =
  'Input' | 'Request' | 'Batches' | 'Output' | 'Money' | 'Job' | 'API' | 'Messages'

const RUN: readonly CommandName[] = ['run']
/** Commands that read records and make requests from them. */
const ASKS: readonly CommandName[] = ['run', 'estimate']
const ROWS: readonly CommandName[] = ['run', 'resume', 'retry', 'results']
/** The same, and the command that joins rows of several jobs. */
const SHAPES: readonly CommandName[] = [...ROWS, 'merge']
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
/** Commands for jobs that may be in a ledger. */
export const LEDGER_COMMANDS: readonly CommandName[] = [
  ...WORK,
  'results',
  'merge',
  'status',
  'list',
  'report',
  'cancel',
]
const JOBS: readonly CommandName[] = [...API, 'merge', 'diff', 'report', 'rm', 'prune']
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
    help: "files, folders or patterns ('*.csv'), - for stdin; gzip is unpacked, hidden files of a folder are skipped",
  },
  {
    group: 'Input',
    name: 'from',
    arg: 'FORMAT',
    choices: ['auto', 'csv', 'tsv', 'jsonl', 'json', 'text', 'parquet', 'files', 'requests'],
    fallback: 'auto',
    on: ASKS,
    help: 'input format: csv, tsv, jsonl, json, text, parquet, files (each file is a record) or requests; auto: detected from the name, then the first bytes',
  },
  {
    group: 'Input',
    name: 'delimiter',
    arg: 'CHAR',
    fallback: 'detected: , ; | or a tab',
    on: ASKS,
    help: 'CSV field delimiter; \\t is a tab',
  },
  {
    group: 'Input',
    name: 'columns',
    arg: 'A,B',
    on: ASKS,
    help: 'column names for a CSV file without a header',
  },
  {
    group: 'Input',
    name: 'header',
    negative: true,
    on: ASKS,
    help: 'the CSV file has no header; columns are named column1, column2, ...',
  },
  {
    group: 'Input',
    name: 'comment',
    arg: 'STRING',
    on: ASKS,
    help: 'skip lines of a CSV file that start with this string, such as #',
  },
  {
    group: 'Input',
    name: 'json-path',
    arg: 'a.b',
    on: ASKS,
    help: 'path of the array of records in a JSON document',
  },
  { group: 'Input', name: 'limit', arg: 'N', on: ASKS, help: 'read only the first N records' },
  { group: 'Input', name: 'skip', arg: 'N', on: ASKS, help: 'skip the first N records' },
  {
    group: 'Input',
    name: 'shard',
    arg: 'I/N|auto',
    values: () => ['auto'],
    on: [...ASKS, 'resume'],
    help: 'take only shard I of N (I from 0 to N-1) of the records, as a job of its own (NAME.00002 for --job NAME); auto: I from Slurm, Kubernetes, AWS Batch or GNU parallel; merge NAME joins the rows',
  },
  {
    group: 'Input',
    name: 'shards',
    arg: 'N',
    on: [...ASKS, 'resume'],
    help: 'number of shards, for --shard auto',
  },
  {
    group: 'Input',
    name: 'shard-block',
    arg: 'N',
    fallback: '100',
    on: ASKS,
    help: 'records that go to a shard before the next shard takes over; fixed when the job starts',
  },
  {
    group: 'Input',
    name: 'sample',
    arg: 'N',
    on: ASKS,
    help: 'send a random sample of N records (of those that --skip and --limit leave), in input order; the input is read to its end first',
  },
  {
    group: 'Input',
    name: 'seed',
    arg: 'TEXT',
    fallback: '1',
    on: ASKS,
    help: 'seed of --sample; another seed gives another sample',
  },
  {
    group: 'Input',
    name: 'max-invalid',
    arg: 'N|P%',
    fallback: '1000',
    on: [...ASKS, 'resume'],
    help: 'invalid records to allow; the run stops if there are more (exit 4)',
  },
  {
    group: 'Input',
    name: 'max-record-bytes',
    arg: 'SIZE',
    fallback: '16MB',
    on: ASKS,
    help: 'longer records become rejected rows',
  },

  {
    group: 'Request',
    name: 'prompt',
    short: 'p',
    arg: 'TEXT',
    on: ASKS,
    help: 'user message: a template with {{field}}',
  },
  {
    group: 'Request',
    name: 'prompt-file',
    short: 'f',
    arg: 'FILE',
    on: ASKS,
    help: 'read the prompt from a file',
  },
  {
    group: 'Request',
    name: 'system',
    short: 's',
    arg: 'TEXT',
    on: ASKS,
    help: 'system prompt: a template',
  },
  {
    group: 'Request',
    name: 'system-file',
    arg: 'FILE',
    on: ASKS,
    help: 'read the system prompt from a file',
  },
  {
    group: 'Request',
    name: 'template',
    arg: 'FILE.mjs',
    on: ASKS,
    help: 'module that makes the requests: export default (fields, record) => text or params',
  },
  {
    group: 'Request',
    name: 'cache',
    arg: 'prime',
    maybe: true,
    values: () => ['prime'],
    on: ASKS,
    help: 'cache the system prompt (if it has no fields) or the tools for one hour; prime: fill the cache with a first batch of one request',
  },
  {
    group: 'Request',
    name: 'schema',
    arg: 'FILE|JSON',
    on: ASKS,
    help: "JSON Schema, a file or the JSON itself ('{...}'): answers are JSON that matches it, and each answer is checked",
  },
  {
    group: 'Request',
    name: 'enum',
    arg: 'A,B,...',
    on: ASKS,
    help: 'answers are one of these values; the response field holds just that value',
  },
  {
    group: 'Request',
    name: 'attach',
    arg: 'TEMPLATE',
    many: true,
    on: ASKS,
    help: 'path of a file to attach: an image, a PDF or a text file; a template',
  },
  {
    group: 'Request',
    name: 'ask-failed',
    on: ASKS,
    help: 'also send records that are failed rows of an earlier run; by default they are not sent and keep their status',
  },
  {
    group: 'Request',
    name: 'var',
    arg: 'KEY=VALUE',
    many: true,
    on: ASKS,
    help: 'set the value of {{$KEY}}',
  },
  {
    group: 'Request',
    name: 'model',
    short: 'm',
    arg: 'ID',
    values: () => Object.keys(PRICES),
    fallback: '$ANTHROPIC_MODEL, else claude-haiku-5-5',
    on: ASKS,
    help: 'model id',
  },
  {
    group: 'Request',
    name: 'max-tokens',
    short: 't',
    arg: 'N',
    fallback: '1024',
    on: ASKS,
    help: 'maximum tokens of an answer',
  },
  {
    group: 'Request',
    name: 'param',
    arg: 'KEY=JSON',
    many: true,
    on: ASKS,
    help: 'set any other parameter of the Messages API',
  },
  {
    group: 'Request',
    name: 'params',
    arg: 'FILE',
    on: ASKS,
    help: 'read such parameters from a JSON file',
  },
  {
    group: 'Request',
    name: 'id',
    arg: 'TEMPLATE',
    fallback: 'generated',
    on: ASKS,
    help: 'custom_id of each request: a template; 1 to 64 of A-Z a-z 0-9 _ -',
  },
  {
    group: 'Request',
    name: 'dry-run',
    short: 'n',
    on: RUN,
    help: 'check the input, count requests and estimate the cost; sends nothing',
  },
  {
    group: 'Request',
    name: 'show',
    arg: 'N',
    on: RUN,
    help: 'print the first N requests as JSON Lines; sends nothing',
  },
  {
    group: 'Request',
    name: 'preflight',
    negative: true,
    on: WORK,
    help: 'skip the free token-count call that checks the key and the model',
  },

  {
    group: 'Batches',
    name: 'batch-size',
    arg: 'N',
    fallback: '10000',
    on: ASKS,
    help: 'maximum requests per batch, up to 100000',
  },
  {
    group: 'Batches',
    name: 'batch-bytes',
    arg: 'SIZE',
    fallback: '64MB',
    on: ASKS,
    help: 'maximum bytes per batch, up to 250MB',
  },
  {
    group: 'Batches',
    name: 'batch-wait',
    arg: 'DUR',
    on: ASKS,
    help: 'submit a batch that is not full when no input has arrived for this long (tail -f)',
  },
  {
    group: 'Batches',
    name: 'batch-age',
    arg: 'DUR',
    on: ASKS,
    help: 'submit a batch that is not full when its first record is this old, also while input keeps arriving',
  },
  {
    group: 'Batches',
    name: 'dedupe',
    on: RUN,
    help: 'send identical requests only once and use the answer for each of their rows; batches are then written in input order',
  },
  {
    group: 'Batches',
    name: 'reuse',
    arg: 'JOB|auto',
    values: () => ['auto'],
    on: RUN,
    help: 'send only records whose request is new or changed; the others reuse, free, the answer of an earlier job. auto: any finished job, the newest answer first',
  },
  {
    group: 'Batches',
    name: 'canary',
    arg: 'N',
    on: RUN,
    help: 'submit the first N records alone and the rest only if one of them succeeds (else exit 4)',
  },
  {
    group: 'Batches',
    name: 'concurrency',
    short: 'c',
    arg: 'N|auto',
    values: () => ['auto'],
    fallback: '10',
    on: ROWS,
    help: "maximum batches in flight; auto: as many as the API's queue takes",
  },
  {
    group: 'Batches',
    name: 'poll',
    arg: 'DUR',
    fallback: '5s rising to 60s',
    on: ROWS,
    help: 'time between polls of a batch',
  },
  {
    group: 'Batches',
    name: 'max-wait',
    arg: 'DUR',
    on: ['run', 'resume'],
    help: 'stop waiting after this long: collect what has ended, submit what fits, leave the rest in flight and exit with 11',
  },
  {
    group: 'Batches',
    name: 'abandon',
    on: ['resume'],
    help: 'finish the job without sending anything more: collect what is in flight, reject every record that was not sent',
  },
  {
    group: 'Batches',
    name: 'settle',
    arg: 'DUR',
    fallback: '10m',
    on: ROWS,
    help: 'how long to search for a batch whose submission got no reply before resending it, and to wait for results that are missing',
  },
  {
    group: 'Batches',
    name: 'adopt',
    arg: 'ID|none',
    values: () => ['none'],
    many: true,
    on: [...WORK, 'results'],
    help: "after a run that named batches which may be the job's (--id, exit 4; exit 8): the ID of the one that is, or none; with the ID of a batch of the job, the valid lines of its results count",
  },
  {
    group: 'Batches',
    name: 'retries',
    arg: 'N',
    fallback: '2',
    on: RUN,
    help: 'retries of a row that expired or had a server error',
  },
  {
    group: 'Batches',
    name: 'retry-incomplete',
    on: ['run', 'retry'],
    help: 'also retry answers that --max-tokens cut, with twice as many tokens, up to the limit of the model',
  },

  {
    group: 'Output',
    name: 'output',
    short: 'o',
    arg: 'FILE',
    fallback: '-',
    on: SHAPES,
    help: 'output file; every row is written to it exactly once; {shard} in it is the number of the shard',
  },
  {
    group: 'Output',
    name: 'output',
    short: 'o',
    arg: 'FILE',
    fallback: '-',
    on: ['report'],
    help: 'file of the page; an earlier report of the same job is replaced, and no other file',
  },
  {
    group: 'Output',
    name: 'to',
    arg: 'FORMAT',
    choices: ['jsonl', 'csv', 'tsv', 'parquet', 'text', 'raw'],
    fallback: 'by the name of the output file, else jsonl',
    on: SHAPES,
    help: 'output format: jsonl, csv, tsv, parquet, text or raw',
  },
  {
    group: 'Output',
    name: 'to',
    arg: 'FORMAT',
    choices: ['table', 'jsonl'],
    fallback: 'table on a terminal, else jsonl',
    on: ['diff'],
    help: 'output format: table (the first changes) or jsonl (a line per changed record)',
  },
  {
    group: 'Output',
    name: 'order',
    arg: 'ORDER',
    choices: ['completion', 'input'],
    fallback: 'completion',
    on: ROWS,
    help: 'order of the rows: completion (batches as they end, retried rows last) or input (a row that is retried holds back the rows after it)',
  },
  {
    group: 'Output',
    name: 'emit',
    arg: 'WHAT',
    choices: ['merged', 'response'],
    fallback: 'merged',
    on: SHAPES,
    help: 'content of a row: merged (record and response) or response (only the response)',
  },
  {
    group: 'Output',
    name: 'response-field',
    arg: 'NAME',
    fallback: 'response',
    on: [...SHAPES, 'estimate'],
    help: 'name of the response field',
  },
  {
    group: 'Output',
    name: 'spread',
    on: [...ROWS, 'estimate'],
    help: 'put the properties of a --schema answer into fields of their own instead of the response field (CSV, TSV and Parquet always do)',
  },
  {
    group: 'Output',
    name: 'meta-field',
    arg: 'NAME|none',
    values: () => ['none'],
    fallback: '_batch',
    on: [...SHAPES, 'estimate'],
    help: 'name of the field with status, ids and usage; none: leave it out',
  },
  {
    group: 'Output',
    name: 'blocks',
    on: SHAPES,
    help: 'keep the blocks of an answer that are not text (thinking, tool_use, ...) in _batch.blocks',
  },
  {
    group: 'Output',
    name: 'errors',
    arg: 'FILE',
    on: SHAPES,
    help: 'write failed rows to this file instead; {shard} in it is the number of the shard',
  },
  {
    group: 'Output',
    name: 'output-columns',
    arg: 'A,B',
    fallback: 'all fields',
    on: SHAPES,
    help: 'input columns of CSV, TSV or Parquet output; other fields are left out',
  },
  {
    group: 'Output',
    name: 'csv-safe',
    on: SHAPES,
    help: 'protect CSV output against spreadsheet formulas',
  },

  {
    group: 'Money',
    name: 'max-cost',
    arg: 'USD',
    fallback: 'none',
    on: WORK,
    help: 'spending cap: never send a batch whose worst-case cost would exceed it (exit 4)',
  },
  {
    group: 'Money',
    name: 'price',
    arg: 'IN,OUT',
    fallback: 'help prices',
    on: [...WORK, 'merge', 'status', 'report', 'estimate'],
    help: 'list prices in USD per million input and output tokens; batches are billed at half',
  },
  {
    group: 'Money',
    name: 'row-cost',
    on: SHAPES,
    help: 'add the cost of each answer to its row: _batch.cost_usd',
  },
  {
    group: 'Money',
    name: 'exact',
    on: ['estimate'],
    help: 'count the tokens of a sample of the requests with the free token counter of the API',
  },

  {
    group: 'Job',
    name: 'on-complete',
    arg: 'CMD',
    on: WORK,
    help: 'run a shell command when the job ends, with its summary as JSON on stdin',
  },
  {
    group: 'Job',
    name: 'notify',
    arg: 'URL',
    on: WORK,
    help: 'POST the summary to this URL when the job ends; signed if $CLAUDE_BATCH_STREAM_NOTIFY_SECRET is set',
  },
  { group: 'Job', name: 'job', arg: 'NAME', on: RUN, help: 'name of the job, to resume it by' },
  {
    group: 'Job',
    name: 'note',
    arg: 'TEXT',
    on: RUN,
    help: 'a note about the job; list, status and report show it',
  },
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
    help: 'submit, print the job name and exit; resume fetches the results',
  },
  {
    group: 'Job',
    name: 'state-dir',
    arg: 'DIR',
    fallback: '~/.local/state/claude-batch-stream',
    on: JOBS,
    help: 'folder of the jobs',
  },
  {
    group: 'Job',
    name: 'ledger',
    arg: 'URL',
    on: LEDGER_COMMANDS,
    help: 'keep the journal in PostgreSQL (postgres://...), so that another machine can continue the job; needs the package pg',
  },
  {
    group: 'Job',
    name: 'lease',
    arg: 'DUR',
    fallback: '60s',
    on: WORK,
    help: 'with --ledger: how long a worker keeps a job without a sign of life',
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
    name: 'keep-last',
    arg: 'N',
    on: ['prune'],
    help: 'keep the N newest finished jobs and delete the others, whatever their age (with --keep: those that are older)',
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
    help: 'URL of the API: https, or http on this machine',
  },
  {
    group: 'API',
    name: 'api-key-file',
    arg: 'FILE',
    fallback: '$ANTHROPIC_API_KEY',
    on: [...API, 'estimate'],
    help: 'read the API key from a file',
  },
  {
    group: 'API',
    name: 'workspace',
    arg: 'ID',
    on: [...API, 'estimate'],
    help: 'workspace id to send with every call',
  },
  {
    group: 'API',
    name: 'beta',
    arg: 'NAME',
    many: true,
    on: ASKS,
    help: 'beta header to send with every batch',
  },
  {
    group: 'API',
    name: 'emulate',
    on: RUN,
    help: 'run against the built-in emulator: no key, no cost',
  },
  {
    group: 'API',
    name: 'remote',
    on: ['list'],
    help: 'list the batches of the workspace at the API',
  },
  {
    group: 'API',
    name: 'port',
    arg: 'N',
    fallback: 'any',
    on: ['emulate'],
    help: 'port on 127.0.0.1',
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
    help: 'JSON file of faults to inject',
  },

  { group: 'Messages', name: 'json', on: ['status', 'list', 'estimate'], help: 'print JSON' },
  {
    group: 'Messages',
    name: 'watch',
    on: ['status'],
    help: 'repeat until the job is finished',
  },
  { group: 'Messages', name: 'yes', short: 'y', on: ALL, help: 'answer yes to every question' },
  {
    group: 'Messages',
    name: 'input',
    negative: true,
    on: ALL,
    help: 'never ask a question; answer no',
  },
  {
    group: 'Messages',
    name: 'config',
    arg: 'FILE',
    on: ALL,
    help: 'read flags from a JSON file; wins over ~/.config/claude-batch-stream/config.json',
  },
  {
    group: 'Messages',
    name: 'progress',
    arg: 'HOW',
    choices: ['auto', 'bar', 'plain', 'json', 'none'],
    fallback: 'auto',
    on: ROWS,
    help: 'bar: one line that is redrawn; plain: a line per event; json: events as JSON Lines; none; auto: bar on a terminal, else plain',
  },
  {
    group: 'Messages',
    name: 'events',
    arg: 'FILE',
    on: ROWS,
    help: 'append events to a file as JSON Lines',
  },
  {
    group: 'Messages',
    name: 'log-format',
    arg: 'FORMAT',
    choices: ['text', 'json'],
    fallback: 'text',
    on: ALL,
    help: 'format of messages: text, or json for JSON Lines',
  },
  {
    group: 'Messages',
    name: 'color',
    arg: 'WHEN',
    choices: ['auto', 'always', 'never'],
    fallback: 'auto',
    on: ALL,
    help: 'use colors: auto, always or never; auto follows NO_COLOR, FORCE_COLOR and TERM=dumb',
  },
  {
    group: 'Messages',
    name: 'quiet',
    short: 'q',
    on: ALL,
    help: 'print only errors, and the command that continues after one',
  },
  {
    group: 'Messages',
    name: 'verbose',
    short: 'v',
    many: true,
    on: ALL,
    help: 'print more details; -vv: also stack traces',
  },
]

/** The flags of a command, in table order. */
export function optionsOf(command: CommandName): OptionSpec[] {
  return OPTIONS.filter(({ on }) => on.includes(command))
}

/** The flags that a command accepts. `estimate` accepts all of `run`, so that putting it before a run prices that run. */
export function acceptedBy(command: CommandName): OptionSpec[] {
  if (command !== 'estimate') return optionsOf(command)
  return OPTIONS.filter(({ on }) => on.includes('estimate') || on.includes('run'))
}
