// view.cjs PACKAGES URL OUT: OHIF's viewer at URL, which names the study and carries a token, in headless Chromium (CHROMIUM) with the
// playwright-core of the folder PACKAGES. Looks at the study as a reader does: its series are listed, a picture is drawn, the segmentation
// is opened. Pictures of both go into the folder OUT, and what was seen is printed as JSON.
const { writeFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

const [packages, url, out] = process.argv.slice(2)
const { chromium } = createRequire(`${packages}/`)('playwright-core')

const FLAGS = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--no-first-run', '--enable-unsafe-swiftshader']
// Beyond it something does not come.
const PATIENCE = { timeout: 90_000 }
const THUMBNAIL = '[data-cy="study-browser-thumbnail"], [data-cy="study-browser-thumbnail-no-image"]'
const PANE = '[data-cy="viewport-pane"]'

/** What went wrong in the page, for whoever reads why a check has failed. */
const said = []

function listens(page) {
  page.on('pageerror', (error) => said.push(`error: ${error.message}`))
  page.on('console', (line) => line.type() === 'error' && said.push(line.text()))
  page.on('response', (answer) => answer.status() >= 400 && said.push(`${answer.status()} ${new URL(answer.url()).pathname}`))
  page.on('requestfailed', (request) => said.push(`${request.failure()?.errorText} ${new URL(request.url()).pathname}`))
}

/** The series that are listed: modality and description of each. */
function listed(page) {
  return page.locator(THUMBNAIL).evaluateAll((all) =>
    all.map((one) => {
      const label = (name) => one.querySelector(`[data-cy="series-${name}-label"]`)?.textContent?.trim() ?? ''
      return { modality: label('modality'), description: label('description') }
    }),
  )
}

/** Of a picture of what the reader sees: which part of it is grey, neither black nor white. */
async function grey(page, picture) {
  return page.evaluate(async (encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0))
    const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }))
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d')
    context.drawImage(image, 0, 0)
    const { data } = context.getImageData(0, 0, image.width, image.height)
    let count = 0
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue] = [data[at], data[at + 1], data[at + 2]]
      if (red > 24 && red < 250 && Math.abs(red - green) < 3 && Math.abs(green - blue) < 3) count += 1
    }
    return count / (data.length / 4)
  }, picture.toString('base64'))
}

/** Waits until a fiftieth of the pane that is looked at is a picture, as an end of the head is; which part it is. */
async function drawn(page) {
  const end = Date.now() + PATIENCE.timeout
  let part = 0
  while (Date.now() < end) {
    part = await grey(page, await page.locator(PANE).first().screenshot(PATIENCE))
    if (part > 0.02) break
    await page.waitForTimeout(500)
  }
  return part
}

/** What OHIF has of the segmentation: whether it is loaded, its segments, and how many voxels each has. */
function segmentation(page) {
  return page.evaluate(() => {
    const sets = window.services.displaySetService.getActiveDisplaySets()
    const set = sets.find((one) => one.Modality === 'SEG')
    if (!set) return undefined
    const marked = {}
    for (const image of (set.labelMapImages ?? []).flat()) {
      const values = image.voxelManager?.getScalarData?.() ?? image.getPixelData?.() ?? []
      for (const value of values) if (value) marked[value] = (marked[value] ?? 0) + 1
    }
    const referenced = sets.find((one) => one.displaySetInstanceUID === set.referencedDisplaySetInstanceUID)
    // Before the first segment stands the background.
    const segments = (set.segMetadata?.data?.length ?? 1) - 1
    return { loaded: Boolean(set.isLoaded), segments, marked, of: referenced?.SeriesInstanceUID }
  })
}

/** Opens the segmentation as a reader does, by a double click; where that opens none, as OHIF's own viewports do. Says which. */
async function opened(page) {
  const thumbnail = page.locator(THUMBNAIL).filter({ has: page.locator('[data-cy="series-modality-label"]', { hasText: /^SEG$/ }) })
  await thumbnail.first().dblclick(PATIENCE)
  const isLoaded = () => window.services.displaySetService.getActiveDisplaySets().some((set) => set.Modality === 'SEG' && set.isLoaded)
  try {
    await page.waitForFunction(isLoaded, undefined, { timeout: 45_000 })
    return 'by a double click'
  } catch {
    await page.evaluate(async () => {
      const { displaySetService, userAuthenticationService } = window.services
      const set = displaySetService.getActiveDisplaySets().find((one) => one.Modality === 'SEG')
      await set.load({ headers: userAuthenticationService.getAuthorizationHeader() })
    })
    return "by the viewer's own call"
  }
}

async function looked(page) {
  // The viewer shows whoever comes for the first time around, and nothing can be reached behind that.
  await page.addLocatorHandler(page.getByText('Skip all'), (skip) => skip.click(), { noWaitAfter: true })
  await page.goto(url, { waitUntil: 'domcontentloaded', ...PATIENCE })
  await page.locator(THUMBNAIL).filter({ hasText: 'SEG' }).first().waitFor({ state: 'attached', ...PATIENCE })
  const series = await listed(page)
  await page.getByText('Skip all').click({ timeout: 20_000 }).catch(() => said.push('there was no tour'))
  const picture = await drawn(page)
  writeFileSync(join(out, 'ohif-study.png'), await page.screenshot(PATIENCE))
  const how = await opened(page)
  const seg = await segmentation(page)
  // Overlaid, it is drawn a moment after it is loaded.
  await page.waitForTimeout(2_000)
  writeFileSync(join(out, 'ohif-segmentation.png'), await page.screenshot(PATIENCE))
  return { series, picture, how, seg }
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS })
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } })
  listens(page)
  // Whatever it would ask of the world, it is asked of nobody.
  await page.route((asked) => /^https?:$/.test(asked.protocol) && asked.hostname !== '127.0.0.1', (route) => route.abort())
  try {
    process.stdout.write(JSON.stringify({ ...(await looked(page)), said: said.slice(0, 20) }))
  } catch (error) {
    writeFileSync(join(out, 'ohif-failed.png'), await page.screenshot().catch(() => Buffer.alloc(0)))
    throw new Error(`${error.message.split('\n')[0]}; the page says: ${said.slice(0, 8).join(' | ') || 'nothing'}`)
  } finally {
    await browser.close()
  }
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
})
