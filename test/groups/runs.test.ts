import { runTogether, testFiles } from './group.ts'

runTogether(['test/report', 'test/run', 'test/telemetry'].flatMap(testFiles))
