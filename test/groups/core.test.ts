import { runTogether, testFiles } from './group.ts'

runTogether(['test/api', 'test/core', 'test/cost'].flatMap(testFiles))
