import { markup, Markup } from './markup.ts'
import type { JobReport } from './report.ts'
import { costSection } from './sections/cost.ts'
import { failuresSection, triesSection } from './sections/failures.ts'
import { batchesSection, overview, rowsSection } from './sections/overview.ts'
import { tokensSection } from './sections/tokens.ts'
import { STYLE } from './style.ts'
import { moment } from './words.ts'

/** A page that needs nothing else: it holds no script and may load nothing, which its first lines forbid. */
export function pageOf(report: JobReport): string {
  const { job, madeAt } = report
  // Failures come first: they are what a reader may have to act on.
  const sections = [
    ...[failuresSection(report), rowsSection(report), batchesSection(report)],
    ...[costSection(report), tokensSection(report), triesSection(report)],
  ]
  const shown = sections.filter(section => section instanceof Markup)
  const empty = sections.filter(section => typeof section === 'string')
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="${generatorOf(job)}">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${job}: report</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
${overview(report)}
<main>
${shown}
${empty.length === 0 ? undefined : markup`<p class="soft empty">${empty.join(' ')}</p>`}
</main>
<footer class="soft">Made by claude-batch-stream ${moment(madeAt)}, from what is kept of the job on this machine. It holds the beginnings of records that failed.</footer>
</body>
</html>
`.html
}

/** What tells a page from other files: whether it is a report, and of which job. */
export function generatorOf(job: string): string {
  return `claude-batch-stream report ${job}`
}
