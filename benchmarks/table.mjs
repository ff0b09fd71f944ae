// How numbers are shown.
import { cpus, release, totalmem } from 'node:os'

/** The machine and date of a measurement. */
export function machine() {
  const [cpu] = cpus()
  const date = new Date().toISOString().slice(0, 10)
  return `${date}, Node ${process.version}, ${process.platform} ${release().split('-')[0]}, ${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB`
}

export function table(head, rows) {
  const line = cells => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

export const whole = number => Math.round(number).toLocaleString('en')
export const times = ratio => `${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}x`

/** Cells for what a case cost; a dash for one that died. */
export function cells({ cpuS, wallS, peakMB, died }) {
  if (died) return ['died', '', '']
  return [cpuS.toFixed(2), wallS.toFixed(2), whole(peakMB)]
}

export const COSTS = ['CPU, s', 'wall, s', 'peak, MB']
