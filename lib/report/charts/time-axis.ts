import { scaleUtc, type ScaleTime } from 'd3-scale'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** Maps the time of a job to horizontal positions. */
export function timeScale(from: number, to: number, range: readonly [number, number]): TimeScale {
  return scaleUtc([from, to], range)
}

export type TimeScale = ScaleTime<number, number>

/** The width of a time below the time line. */
const LABEL = 68

/** The labels below the time line, each as precise as needed to distinguish it from its neighbours. */
export function timeTicks(x: TimeScale): { readonly at: Date; readonly said: string }[] {
  const ticks = x.ticks(6)
  const step = Number(ticks[1]) - Number(ticks[0])
  const every = Math.ceil(LABEL / (x(Number(ticks[0]) + step) - x(Number(ticks[0]))))
  return ticks.filter((_, index) => index % every === 0).map(at => ({ at, said: nameOf(at, step) }))
}

function nameOf(at: Date, step: number): string {
  const [day = '', time = ''] = at.toISOString().split('T')
  if (step >= DAY) return day
  if (time.startsWith('00:00:00.000')) return day.slice(5)
  if (step >= MINUTE) return time.slice(0, 5)
  return step >= 1000 ? time.slice(0, 8) : time.slice(3, 12)
}
