// Loaded into a program with --import: at its end it writes to the file in LIVE_MEMORY how much memory was in use when all that
// is unreachable was gone: what three quarters of its samples stay below. Unlike its peak RSS that does not depend on when
// garbage is collected, and unlike its highest sample not on what one moment happened to catch.
import { writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')
const samples = []
const sample = () => {
  // The second collection waits until the memory of buffers that the first one found is given back.
  gc()
  gc()
  // Not `external`: what is freed leaves that number only some time later.
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  samples.push(heapUsed + arrayBuffers)
}
setInterval(sample, 200).unref()
process.on('exit', () => {
  sample()
  const inUse = samples.toSorted((a, b) => a - b)[Math.floor(0.75 * samples.length)]
  writeFileSync(process.env['LIVE_MEMORY'] ?? '', String(inUse))
})
