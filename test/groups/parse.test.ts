import { runTogether, testFiles } from './group.ts'

runTogether(testFiles('test/stages/parse'))
