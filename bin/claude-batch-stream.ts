#!/usr/bin/env node
import { main } from '../lib/cli/main.ts'

// Loaded when somebody is to be asked: `--version` must not wait for it.
const terminal = async () => (await import('../lib/cli/terminal.ts')).openTerminal()

process.exitCode = await main(process.argv.slice(2), Object.assign(process, { terminal }))
