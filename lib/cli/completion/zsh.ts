import { optionsOf, type OptionSpec } from '../options.ts'
import {
  FIRST,
  HELP_WORDS,
  JOB_NAMES,
  NAMED,
  OF_JOBS,
  spellings,
  takesFile,
  takesJob,
  valuesOf,
} from './words.ts'

export function zsh(): string {
  const described = FIRST.map(([word, help]) => quoted(`${word}:${help.replaceAll(':', '\\:')}`))
  const cases = NAMED.map(name => {
    const specs = [...optionsOf(name).map(specOf), quoted('--help[all flags]')]
    const rest = OF_JOBS.includes(name) ? [`'1:JOB:_claude_batch_stream_jobs'`] : []
    return `    ${name}) _arguments ${[...specs, ...rest].join(' ')} ;;`
  })
  return `#compdef claude-batch-stream
# eval "$(claude-batch-stream completion zsh)", behind compinit
_claude_batch_stream_jobs() {
  local -a jobs=(\${(f)"$(${JOB_NAMES})"})
  compadd -a jobs
}
_claude_batch_stream() {
  local -a commands=(${described.join(' ')})
  if (( CURRENT == 2 )) && [[ \${words[2]} != -* ]]; then
    _describe command commands
    return
  fi
  local command=run
  if [[ -n \${commands[(r)\${words[2]}:*]} ]]; then
    command=\${words[2]}
    shift words
    (( CURRENT-- ))
  fi
  case $command in
${cases.join('\n')}
    help) compadd ${HELP_WORDS.join(' ')} ;;
    completion) compadd bash zsh fish ;;
  esac
}
if [[ \${funcstack[1]} == _claude_batch_stream ]]; then
  _claude_batch_stream "$@"
else
  compdef _claude_batch_stream claude-batch-stream
fi
`
}

function specOf(spec: OptionSpec): string {
  const names = spellings(spec)
  const help = spec.help.replaceAll(/[[\]\\:]/g, '\\$&')
  const text = quoted(`[${help}]${valueOf(spec)}`)
  const group = spec.many ? '*' : names.length > 1 ? `(${names.join(' ')})` : ''
  // The value follows in the next word or, with these signs, in the same one: -mID, --model=ID.
  const signs = spec.arg === undefined ? ['', ''] : ['+', '=']
  const signed = names.map(name => name + signs[name.startsWith('--') ? 1 : 0])
  return names.length > 1
    ? `${quoted(group)}{${signed.join(',')}}${text}`
    : `${quoted(group + signed[0])}${text}`
}

function valueOf(spec: OptionSpec): string {
  const { arg, maybe } = spec
  const values = valuesOf(spec)
  if (arg === undefined) return ''
  const listed = values.length > 0 ? `(${values.join(' ')})` : takesFile(spec) ? '_files' : ' '
  const action = takesJob(spec)
    ? `{compadd ${values.join(' ')}; _claude_batch_stream_jobs}`
    : listed
  return `${maybe ? '::' : ':'}${arg.replaceAll(':', '\\:')}:${action}`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
