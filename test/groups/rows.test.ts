import { runTogether, testFiles } from './group.ts'

runTogether(
  ['results', 'retry', 'order', 'write'].flatMap(stage => testFiles(`test/stages/${stage}`)),
)
