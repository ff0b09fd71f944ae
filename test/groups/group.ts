import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')

/** The test files in a folder and its subfolders, as paths from the root of the repository. */
export function testFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .map(name => `${folder}/${name}`)
    .sort()
}

/**
 * Runs test files in one process. Starting a process and loading and compiling the library takes a second of CPU, more than the
 * tests of most files.
 */
export function runTogether(files: readonly string[]): void {
  // The tests of all files wait for this one, so that the run does not end before the last file is loaded.
  void t.test(`${files.length} test files are loaded`, async t => {
    for (const file of files) await import(`../../${file}`)
    t.pass()
  })
}
