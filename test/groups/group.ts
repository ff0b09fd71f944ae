import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')

/** The test files of a folder and of those below it, as paths from the root of the repository. */
export function testFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .map(name => `${folder}/${name}`)
    .sort()
}

/**
 * Runs these test files in one process. Starting a process, loading the library and compiling it takes a second of CPU, which
 * is more than most files take for their tests.
 */
export function runTogether(files: readonly string[]): void {
  // The tests of a file wait behind this one, so that the run does not end before the last file is loaded.
  void t.test(`${files.length} test files are loaded`, async t => {
    for (const file of files) await import(`../../${file}`)
    t.pass()
  })
}
