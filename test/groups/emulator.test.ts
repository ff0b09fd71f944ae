import { runTogether, testFiles } from './group.ts'

runTogether(testFiles('test/emulator'))
