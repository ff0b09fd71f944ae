// The page in a browser: in light and in dark, without a script, and without a word to anybody.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { chromium, type BrowserContext } from 'playwright-core'
import { pageOf } from '../../lib/report/page.ts'
import { failure, reportOf } from './reports.ts'

const PROGRAM = process.env['CHROMIUM'] || '/usr/bin/chromium'
const ARGS =
  '--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const skip = existsSync(PROGRAM)
  ? false
  : `there is no Chromium at ${PROGRAM}: install it, or say where it is with CHROMIUM`

const EVIL = '<script>document.title = "taken"</script><img src=https://example.com/x.png>'

t.test('a page in a browser', { skip }, async t => {
  const profile = mkdtempSync(join(tmpdir(), 'cbs-report-'))
  const html = pageOf(reportOf({ failures: [failure(`no ${EVIL}`, EVIL)] }))
  const file = join(t.testdir({ 'report.html': html }), 'report.html')
  const browser: BrowserContext = await chromium.launchPersistentContext(profile, {
    ...{ executablePath: PROGRAM, headless: true, chromiumSandbox: false, timeout: 0 },
    args: ARGS.split(' '),
  })
  t.teardown(async () => {
    await browser.close()
    rmSync(profile, { recursive: true, force: true })
  })
  browser.setDefaultTimeout(0)
  const requests: string[] = []
  const complaints: string[] = []
  browser.on('request', request => requests.push(request.url()))
  const page = await browser.newPage()
  page.on('console', message => complaints.push(message.text()))
  page.on('pageerror', error => complaints.push(error.message))
  const address = pathToFileURL(file).href

  const colours = new Set<string>()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.goto(address)
    t.equal(await page.title(), 'nightly: report')
    t.match(await page.innerText('h1'), 'nightly')
    t.match(await page.innerText('.failure'), EVIL, 'shown as it stands')
    for (const name of ['Failures', 'Rows by status', 'Batches', 'Cost', 'Tokens'])
      t.equal(await page.getByRole('heading', { name, exact: true }).count(), 1, name)
    const charts = await page.getByRole('img').all()
    t.equal(charts.length, 5)
    for (const chart of charts) {
      const box = await chart.boundingBox()
      t.ok(box && box.width > 300 && box.height > 10, JSON.stringify(box))
    }
    colours.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'))
  }
  t.equal(colours.size, 2, 'dark is not light')

  await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
  t.equal(
    await page.evaluate('getComputedStyle(document.body).backgroundColor'),
    'rgb(255, 255, 255)',
    'paper is white',
  )
  t.ok((await page.pdf()).length > 1000)
  await page.emulateMedia({ media: 'screen' })
  for (const size of [320, 390, 700, 1280]) {
    await page.setViewportSize({ width: size, height: 800 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    t.ok(width <= size, `at ${size} px the page does not scroll sideways: ${width}`)
    const charts = await page.getByRole('img').all()
    t.equal(charts.length, 5, 'each chart is shown in one size')
    for (const chart of charts) {
      const box = await chart.boundingBox()
      t.ok(box && box.x >= 0 && box.x + box.width <= size, `${size}: ${JSON.stringify(box)}`)
    }
  }
  t.same(complaints, [])
  t.same([...new Set(requests)], [address])
})
