import { runTogether, testFiles } from './group.ts'

// Every fourth test file of the program.
runTogether(testFiles('test/cli').filter((_, at) => at % 4 === 1))
