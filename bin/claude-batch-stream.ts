#!/usr/bin/env node
import { main } from '../lib/cli/main.ts'
import { systemClock } from '../lib/core/clock.ts'

// Loaded when somebody is to be asked: `--version` must not wait for it.
const terminal = async () => (await import('../lib/cli/terminal.ts')).openTerminal()

const io = Object.assign(process, { terminal, clock: systemClock })
process.exitCode = await main(process.argv.slice(2), io)
