import { markup, Markup } from './markup.ts'
import type { JobReport } from './report.ts'
import { costSection } from './sections/cost.ts'
import { failuresSection, triesSection } from './sections/failures.ts'
import { batchesSection, overview, rowsSection } from './sections/overview.ts'
import { requestSection } from './sections/request.ts'
import { tokensSection } from './sections/tokens.ts'
import { SCRIPT, SCRIPT_SOURCE } from './script.ts'
import { STYLE } from './style.ts'
import { moment } from './words.ts'

/** A self-contained page. Its content security policy allows one script, by its hash, and forbids loading anything. */
export function pageOf(report: JobReport): string {
  const { job, madeAt } = report
  // Failures come first, since a reader may have to act on them.
  const sections = [
    ...[failuresSection(report), requestSection(report), rowsSection(report)],
    ...[batchesSection(report), costSection(report), tokensSection(report), triesSection(report)],
  ]
  const shown = sections.filter(section => section instanceof Markup)
  const empty = sections.filter(section => typeof section === 'string')
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="${generatorOf(job)}">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src ${SCRIPT_SOURCE}; style-src 'unsafe-inline'; img-src data:">
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
<footer class="soft">Made by claude-batch-stream ${moment(madeAt)} from the job's files on this machine. Contains the prompt and the beginnings of records that failed.</footer>
<script>${new Markup(SCRIPT)}</script>
</body>
</html>
`.html
}

/** Identifies a file as the report of a job. */
export function generatorOf(job: string): string {
  return `claude-batch-stream report ${job}`
}
