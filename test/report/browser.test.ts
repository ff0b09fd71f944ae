// The page in a browser: light and dark, on a phone and on a desk, with and without its script, and without a request to anybody.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { chromium, type BrowserContext } from 'playwright-core'
import { pageOf } from '../../lib/report/page.ts'
import { batchRowsOf } from '../../lib/report/batch-rows.ts'
import { batch, BEGAN, failure, MINUTE, reportOf } from './reports.ts'

const PROGRAM = process.env['CHROMIUM'] || '/usr/bin/chromium'
const ARGS =
  '--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const skip = existsSync(PROGRAM)
  ? false
  : `there is no Chromium at ${PROGRAM}: install it, or say where it is with CHROMIUM`

const NAMES = ['Failures', 'Prompt and parameters', 'Rows by status', 'Batches', 'Cost', 'Tokens']
const SIZES = [320, 350, 390, 700, 1280]

const EVIL = '<script>document.title = "taken"</script><img src=https://example.com/x.png>'

t.test('a page in a browser', { skip }, async t => {
  const profile = mkdtempSync(join(tmpdir(), 'cbs-report-'))
  const request = { texts: [['Prompt', `Say\n${EVIL}`]], parameters: [['Model', EVIL]] } as const
  const batches = batchRowsOf([
    batch(1, { requests: 10 }),
    batch(2, { requests: 9, endedAt: BEGAN + 8 * MINUTE }),
    batch(3, { requests: 1000, endedAt: null }),
    batch(4, { requests: 200, endedAt: BEGAN + 20 * MINUTE }),
  ])
  const failures = [failure(`no ${EVIL}`, EVIL)]
  const html = pageOf(reportOf({ failures, request, batches }))
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
    for (const name of NAMES)
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
  for (const size of SIZES) {
    await page.setViewportSize({ width: size, height: 800 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    t.ok(width <= size, `at ${size} px the page does not scroll sideways: ${width}`)
    const charts = await page.getByRole('img').all()
    t.equal(charts.length, 5, 'each chart is shown in one size')
    const boxes = await page.locator('pre, .facts, .wide').all()
    for (const shown of [...charts, ...boxes]) {
      const box = await shown.boundingBox()
      t.ok(box && box.x >= 0 && box.x + box.width <= size, `${size}: ${JSON.stringify(box)}`)
    }
  }

  await t.test(
    'the table of batches sorts by keyboard, and is whole without the script',
    async t => {
      const numbers = async (): Promise<string[]> =>
        await page.locator('.batches tbody td:first-child').allInnerTexts()
      const requests = page.getByRole('columnheader', { name: 'Requests' })
      t.same(await numbers(), ['1', '2', '3', '4'])
      await page.getByRole('button', { name: 'Requests' }).focus()
      await page.keyboard.press('Enter')
      t.same(await numbers(), ['2', '1', '4', '3'], 'as numbers: 9 comes before 10')
      t.equal(await requests.getAttribute('aria-sort'), 'ascending')
      await page.keyboard.press('Space')
      t.same(await numbers(), ['3', '4', '1', '2'])
      t.equal(await requests.getAttribute('aria-sort'), 'descending')
      for (const wanted of [
        ['1', '2', '4', '3'],
        ['4', '2', '1', '3'],
      ]) {
        await page.getByRole('button', { name: 'Took' }).click()
        t.same(await numbers(), wanted, 'a batch that has not ended is last')
      }
      t.equal(await requests.getAttribute('aria-sort'), null)

      const plain = await (
        await browser.browser()?.newContext({ javaScriptEnabled: false })
      )?.newPage()
      await plain?.goto(address)
      t.equal(await plain?.locator('.batches tbody tr').count(), 4)
      t.equal(await plain?.locator('.batches th').first().innerText(), 'Batch')
      t.equal(await plain?.locator('button').count(), 0)
      await plain?.context().close()
    },
  )
  t.same(complaints, [])
  t.same([...new Set(requests)], [address])
})
