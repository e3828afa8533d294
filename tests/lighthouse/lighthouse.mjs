/**
 * What Lighthouse gives the pages of a running medseg for their speed: `node lighthouse.mjs URL USER PASSWORD VOLUME.nii.gz`.
 *
 * Prints a Markdown table; exits 1 where the median of RUNS runs is less than LEAST, or the first slice of a volume takes longer than SLICE_MS.
 */
import { readFileSync } from 'node:fs'
import lighthouse, { desktopConfig } from 'lighthouse'
import puppeteer from 'puppeteer-core'
import { signedIn } from './session.mjs'

const [, , url, user, password, volume] = process.argv
if (!volume) {
  console.error('usage: node lighthouse.mjs URL USER PASSWORD VOLUME.nii.gz')
  process.exit(2)
}

const LEAST = Number(process.env.LEAST ?? 90)
const RUNS = Number(process.env.RUNS ?? 3)
/** So long the first slice of a volume may take. */
const SLICE_MS = Number(process.env.SLICE_MS ?? 1000)
const PATIENCE_MS = 60_000
const PAUSE_MS = 200
// The session of the page is in its tab's storage: it stays from one page to the next.
const HOW = { onlyCategories: ['performance'], disableStorageReset: true, logLevel: 'error' }
const SCREENS = { laptop: desktopConfig, phone: undefined }

/** A volume that was analysed. */
async function analysed() {
  const headers = await signedIn(url, user, password)
  const { authorization } = headers
  const sent = await fetch(new URL('v1/scans', url), { method: 'POST', headers: { authorization }, body: readFileSync(volume) })
  if (sent.status !== 202) throw new Error(`the scan is answered with ${sent.status}: ${await sent.text()}`)
  const { id } = await sent.json()
  const deadline = Date.now() + PATIENCE_MS
  while (Date.now() < deadline) {
    const { state } = await (await fetch(new URL(`v1/scans/${id}`, url), { headers })).json()
    if (state === 'done') return id
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  throw new Error(`the scan is not analysed after ${PATIENCE_MS / 1000} s`)
}

async function signIn(page) {
  await page.goto(url)
  await page.waitForSelector('input[name=username]', { timeout: PATIENCE_MS })
  await page.type('input[name=username]', user)
  await page.type('input[name=password]', password)
  await page.click('form button')
  await page.waitForSelector('header a[href="#/account"]', { timeout: PATIENCE_MS })
}

/** The run of which as many are better as are worse. */
async function measured(page, address, config) {
  const runs = []
  for (let run = 0; run < RUNS; run++) {
    const { lhr } = await lighthouse(address, HOW, config, page)
    if (lhr.runtimeError) throw new Error(`${address}: ${lhr.runtimeError.message}`)
    runs.push(lhr)
  }
  runs.sort((one, other) => one.categories.performance.score - other.categories.performance.score)
  return runs[Math.floor((runs.length - 1) / 2)]
}

async function row(page, name, address) {
  let least = 100
  for (const [screen, config] of Object.entries(SCREENS)) {
    const { categories, audits } = await measured(page, address, config)
    const points = Math.round(100 * categories.performance.score)
    const said = ['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time', 'cumulative-layout-shift']
    console.log(`| ${name} | ${screen} | **${points}** | ${said.map((audit) => audits[audit].displayValue).join(' | ')} |`)
    least = Math.min(least, points)
  }
  return least
}

/** From the address to the first slice on screen, in milliseconds: the median of RUNS runs, the page fetched anew in each. */
async function firstSlice(page, address) {
  const runs = []
  await page.setCacheEnabled(false)
  for (let run = 0; run < RUNS; run++) {
    await page.goto('about:blank')
    const begun = performance.now()
    await page.goto(address)
    await page.waitForSelector('[data-testid=slice][data-ready=true]', { timeout: PATIENCE_MS })
    runs.push(performance.now() - begun)
  }
  return runs.sort((one, other) => one - other)[Math.floor(runs.length / 2)]
}

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
})
try {
  const scan = await analysed()
  const page = await browser.newPage()
  console.log('| page | screen | points | first paint | largest paint | blocked | shift |\n|---|---|--:|--:|--:|--:|--:|')
  const points = [await row(page, 'sign-in', url)]
  await signIn(page)
  for (const [name, place] of [['list', ''], ['a volume with its finding', `scans/${scan}`], ['quality', 'quality']]) {
    points.push(await row(page, name, `${url}#/${place}`))
  }
  const slice = Math.round(await firstSlice(page, `${url}#/scans/${scan}`))
  console.log(`\nFrom the address of a volume of 24 slices to its first slice on screen: **${slice} ms** (asked: ${SLICE_MS} ms).`)
  if (Math.min(...points) < LEAST || slice > SLICE_MS) {
    console.error(`error: a page has fewer than ${LEAST} points, or the first slice takes longer than ${SLICE_MS} ms`)
    process.exitCode = 1
  }
} finally {
  await browser.close()
}
