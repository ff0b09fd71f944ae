import { COMMANDS, groupsOf, OTHERS } from './help.ts'
import { EXIT_MEANING } from './exit-code.ts'
import { OPTIONS, type OptionSpec } from './options.ts'
import { VARIABLES } from './variables.ts'

/** The man page in roff, generated from the program's own tables. */
export function manPage(): string {
  const commands = [...Object.values(COMMANDS), ...OTHERS]
  return [
    '.TH CLAUDE\\-BATCH\\-STREAM 1 "" "claude\\-batch\\-stream" "User Commands"',
    '.SH NAME',
    "claude\\-batch\\-stream \\- records through Claude's Message Batches API",
    '.SH SYNOPSIS',
    '.B claude\\-batch\\-stream',
    '[\\fICOMMAND\\fR] [\\fIFLAGS\\fR]',
    '.SH DESCRIPTION',
    'Reads records, sends a request for each of them to Claude in batches, at half the price of synchronous calls, and writes a row for each.',
    'A job is kept on disk: after any interruption it resumes, no answer is lost, and no record is paid for twice.',
    '.SH COMMANDS',
    ...commands.flatMap(({ words, help }) => item(`\\fB${escaped(words)}\\fR`, help)),
    '.SH OPTIONS',
    ...groupsOf(OPTIONS).flatMap(([group, specs]) => [
      `.SS ${group}`,
      ...specs.flatMap(spec => item(flagOf(spec), textOf(spec))),
    ]),
    '.SH ENVIRONMENT',
    'Every flag can be an environment variable: \\-\\-batch\\-size is CLAUDE_BATCH_STREAM_BATCH_SIZE. The command line wins over it.',
    ...VARIABLES.flatMap(({ names, help }) => item(`\\fB${escaped(names)}\\fR`, help)),
    '.SH EXIT STATUS',
    ...Object.entries(EXIT_MEANING).flatMap(([code, meaning]) => item(code, meaning)),
    '.SH EXAMPLES',
    '.EX',
    ...EXAMPLES.map(escaped),
    '.EE',
    '',
  ].join('\n')
}

const EXAMPLES = [
  "cat reviews.csv | claude-batch-stream -p 'Sentiment of: {{review}}' > out.jsonl",
  "claude-batch-stream -i reviews.csv -p 'Sentiment of: {{review}}' --job nightly --detach",
  'claude-batch-stream resume nightly > out.jsonl',
]

function item(head: string, text: string): string[] {
  return ['.TP', head, escaped(text)]
}

function flagOf({ name, short, arg, many, maybe, negative }: OptionSpec): string {
  const long = `\\fB${escaped(`--${negative ? 'no-' : ''}${name}`)}\\fR`
  const first = short === undefined ? '' : `\\fB\\-${short}\\fR, `
  const value = arg === undefined ? '' : `\\fI${escaped(arg)}\\fR${many ? '...' : ''}`
  return `${first}${long}${value && (maybe ? ` [${value}]` : ` ${value}`)}`
}

function textOf({ help, fallback, on }: OptionSpec): string {
  const usual = fallback === undefined ? '' : ` Default: ${fallback}.`
  return `${help}.${usual} (${on.join(', ')})`
}

/** Escapes text for roff. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('`', '')
    .replace(/^([.'])/, '\\&$1')
}
