// The test runner follows every promise with async hooks to attribute uncaught errors to tests, which takes up to half of the CPU
// time of a test file. Without the hooks an uncaught error fails its file, with the stack.
import hooks from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'

const { createHook } = hooks
hooks.createHook = callbacks =>
  callbacks.init && callbacks.destroy ? createHook({}) : createHook(callbacks)
syncBuiltinESMExports()
