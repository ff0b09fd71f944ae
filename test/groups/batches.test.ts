import { runTogether, testFiles } from './group.ts'

runTogether(['submit', 'search', 'await'].flatMap(stage => testFiles(`test/stages/${stage}`)))
