import { OPTIONS, type OptionSpec } from '../options.ts'
import { FIRST, HELP_WORDS, JOB_NAMES, OF_JOBS, takesFile, takesJob, valuesOf } from './words.ts'

export function fish(): string {
  const others = FIRST.map(([word]) => word).filter(word => word !== 'run')
  const none = `not __fish_seen_subcommand_from ${FIRST.map(([word]) => word).join(' ')}`
  const seen = (names: readonly string[]): string =>
    `__fish_seen_subcommand_from ${names.join(' ')}`
  const lines = OPTIONS.map(spec => {
    const named = spec.on.filter(name => name !== 'run')
    const isRun = `not ${seen(others)}`
    const when = !spec.on.includes('run')
      ? seen(named)
      : named.length === 0
        ? isRun
        : `${isRun}; or ${seen(named)}`
    return line(when, ...wordsOf(spec))
  })
  return [
    '# claude-batch-stream completion fish | source',
    'complete -c claude-batch-stream -f',
    ...FIRST.map(([word, help]) => line(none, `-a ${word}`, `-d ${quoted(help)}`)),
    line(seen(OF_JOBS), `-a ${quoted(`(${JOB_NAMES})`)}`),
    line(seen(['help']), `-a ${quoted(HELP_WORDS.join(' '))}`),
    line(seen(['completion']), "-a 'bash zsh fish'"),
    'complete -c claude-batch-stream -s h -l help -d "all flags"',
    ...lines,
    '',
  ].join('\n')
}

function wordsOf(spec: OptionSpec): string[] {
  const { name, short, arg, maybe, negative, help } = spec
  const jobs = takesJob(spec) ? [`(${JOB_NAMES})`] : []
  const values = [...valuesOf(spec), ...jobs]
  const value = arg === undefined || maybe ? [] : [takesFile(spec) ? '-r -F' : '-x']
  return [
    ...(short === undefined ? [] : [`-s ${short}`]),
    `-l ${negative ? 'no-' : ''}${name}`,
    ...value,
    ...(values.length > 0 ? [`-a ${quoted(values.join(' '))}`] : []),
    `-d ${quoted(help)}`,
  ]
}

function line(when: string, ...words: readonly string[]): string {
  return `complete -c claude-batch-stream -n ${quoted(when)} ${words.join(' ')}`
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`
}
