import { runTogether, testFiles } from './group.ts'

runTogether(['spool', 'template', 'aggregate'].flatMap(stage => testFiles(`test/stages/${stage}`)))
