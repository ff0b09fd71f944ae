import { runTogether, testFiles } from './group.ts'

runTogether(['test/report', 'test/run'].flatMap(testFiles))
