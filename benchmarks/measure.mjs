// Loaded into a measured process with --import: at its end it tells the parent its peak memory, its CPU time and its age.
let before = { userCPUTime: 0, systemCPUTime: 0 }
let born = 0

/** Counts CPU and time from now on, so that a case need not answer for what it loads. */
export function begin() {
  before = process.resourceUsage()
  born = process.uptime()
}

process.on('exit', () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
  const cpu = userCPUTime + systemCPUTime - before.userCPUTime - before.systemCPUTime
  process.send?.({ peakMB: maxRSS / 1024, cpuS: cpu / 1e6, wallS: process.uptime() - born })
})
