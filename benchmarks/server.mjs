// An emulator on its own. Its answers have as many characters as the first number of the question says. Prints its URL and
// runs until it is killed.
import { createEmulator, lastUserText } from '../dist/lib/emulator/index.js'

const TEXT = 'It was "broken" after a day,\nand the shop – naturally – would not take it back. '
const emulator = await createEmulator({
  batchTimeMs: 0,
  respond: params => {
    const length = Number(lastUserText(params).split(' ')[0]) || 40
    return TEXT.repeat(Math.ceil(length / TEXT.length)).slice(0, length)
  },
  ...JSON.parse(process.argv[2]),
})
process.stdout.write(`${emulator.url}\n`)
