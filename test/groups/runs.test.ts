import { runTogether, testFiles } from './group.ts'

runTogether(['test/crash', 'test/report', 'test/run'].flatMap(testFiles))
