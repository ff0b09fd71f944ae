import { OPTIONS, optionsOf, type OptionSpec } from '../options.ts'
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

export function bash(): string {
  const withValue = OPTIONS.filter(({ arg }) => arg !== undefined)
  const choosing = withValue.filter(spec => valuesOf(spec).length > 0)
  const files = withValue.filter(takesFile)
  const others = withValue.filter(spec => valuesOf(spec).length === 0 && !takesFile(spec))
  const pattern = (specs: typeof withValue): string =>
    [...new Set(specs.flatMap(spellings))].join('|')
  const flags = NAMED.map(
    name => `    ${name}) flags='${optionsOf(name).flatMap(spellings).join(' ')}' ;;`,
  )
  return `# eval "$(claude-batch-stream completion bash)"
_claude_batch_stream() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=run flags=''
  COMPREPLY=()
  # Readline splits --order=input into three words.
  if [ "$cur" = = ]; then
    cur=''
  elif [ "$prev" = = ] && [ "$COMP_CWORD" -gt 2 ]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  case \${COMP_WORDS[1]} in
    ${FIRST.map(([word]) => word).join('|')}) [ "$COMP_CWORD" -gt 1 ] && command=\${COMP_WORDS[1]} ;;
  esac
  case $prev in
${choosing.map(offer).join('\n')}
    ${pattern(files)}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
    ${pattern(others)}) return ;;
  esac
  case $command in
${flags.join('\n')}
    help) COMPREPLY=($(compgen -W '${HELP_WORDS.join(' ')}' -- "$cur")); return ;;
    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$cur")); return ;;
  esac
  case $cur in
    -*) COMPREPLY=($(compgen -W "$flags --help" -- "$cur")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${FIRST.map(([word]) => word).join(' ')}' -- "$cur"))
    return
  fi
  case $command in
    ${OF_JOBS.join('|')}) COMPREPLY=($(compgen -W "$(${JOB_NAMES})" -- "$cur")) ;;
  esac
}
complete -F _claude_batch_stream claude-batch-stream
`
}

/** Completes the value of a flag. If the value is optional, another flag may follow. */
function offer(spec: OptionSpec): string {
  const words = valuesOf(spec).join(' ')
  const list = takesJob(spec) ? `"${words} $(${JOB_NAMES})"` : `'${words}'`
  const reply = `COMPREPLY=($(compgen -W ${list} -- "$cur")); return`
  const guarded = spec.maybe ? `[[ $cur == -* ]] || { ${reply}; }` : reply
  return `    ${spellings(spec).join('|')}) ${guarded} ;;`
}
