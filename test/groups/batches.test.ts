import { runTogether, testFiles } from './group.ts'

runTogether(['submit', 'await'].flatMap(stage => testFiles(`test/stages/${stage}`)))
