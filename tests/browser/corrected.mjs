/**
 * A reader corrects one scan in the page, of a running medseg and in headless Chromium:
 * `node corrected.mjs URL USER PASSWORD HEAD.nii.gz TRUTH.nii.gz DRAWN.json`.
 *
 * They send the head, draw what TRUTH marks by brush, fill and eraser, and press the button. DRAWN is told which scan that is, how many
 * slices, rows and columns its pictures have, and which of their voxels were drawn, slice after slice and row after row: what whoever
 * follows the correction compares with. Exits 1 where the page does not get so far.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { launched } from './browser.mjs'
import { inFile, indexIn, labelsIn, onScreen } from './nifti.mjs'
import { signedIn } from './session.mjs'

const [, , url, user, password, head, truth, out] = process.argv
if (!out) {
  console.error('usage: node corrected.mjs URL USER PASSWORD HEAD.nii.gz TRUTH.nii.gz DRAWN.json')
  process.exit(2)
}

const PATIENCE_MS = 60_000
/** A volume has many slices to predict, beside other work. */
const ANALYSIS_MS = 120_000
const BESIDE = [[-1, 0], [1, 0], [0, -1], [0, 1]]

const browser = await launched()
const page = await (await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } })).newPage()
page.setDefaultTimeout(PATIENCE_MS)
const faults = []
page.on('pageerror', (error) => faults.push(`${error}`))

const verdict = page.getByTestId('verdict')
const pad = page.getByTestId('pad')

try {
  await page.goto(url)
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByTestId('files').setInputFiles(head)
  await page.getByTestId('answer').waitFor({ timeout: ANALYSIS_MS })
  const [, scan] = /#\/scans\/([0-9a-f-]{36})/.exec(page.url())

  const image = await imageOf(scan)
  const drawn = truthIn(image)
  assert.ok(drawn.slices.flat(2).includes(1), 'there is something to draw')
  await begin()
  for (const [number, slice] of drawn.slices.entries()) {
    if (slice.flat().includes(1)) await drawSlice(image, number, slice)
  }
  await send()
  assert.deepEqual(faults, [])
  const marked = drawn.slices.flat(2).flatMap((here, index) => (here ? [index] : []))
  writeFileSync(out, JSON.stringify({ scan, shape: drawn.shape, marked }))
  console.log(`the page has sent an outline of ${marked.length} voxels`)
} catch (error) {
  console.error(`FAILED: a correction drawn in the page\n${error.stack}\n${faults.join('\n')}`)
  process.exitCode = 1
} finally {
  await browser.close()
}

async function imageOf(scan) {
  const headers = await signedIn(url, user, password)
  return (await (await fetch(new URL(`v1/scans/${scan}/result`, url), { headers })).json()).image
}

/** What the file of the truth marks, as slices, rows and columns of the pictures. */
function truthIn({ shape: { slices, rows, columns }, own_grid: grid }) {
  const { lengths, labels } = labelsIn(readFileSync(truth))
  const at = (voxel) => (labels[indexIn(lengths, inFile(voxel, lengths, grid))] ? 1 : 0)
  const counted = (length, of) => Array.from({ length }, (_, index) => of(index))
  return {
    shape: [slices, rows, columns],
    slices: counted(slices, (slice) => counted(rows, (row) => counted(columns, (column) => at([slice, row, column])))),
  }
}

/** Opens the pad with nothing on it and the smallest brush: what was outlined by the model is none of the reader's. */
async function begin() {
  await verdict.getByLabel('Correct').waitFor()
  await page.keyboard.press('c')
  await verdict.getByRole('button', { name: 'Draw the outline' }).click()
  await pad.waitFor()
  await page.getByRole('button', { name: 'Clear all' }).click()
  await pad.focus()
  for (let count = 0; count < 8; count++) await page.keyboard.press('s')
  assert.match(await page.getByTestId('brush').innerText(), /^1 (mm|pixel)$/)
}

async function drawSlice(image, number, slice) {
  await goTo(number)
  const edge = slice.map((line, row) => line.map((here, column) => Number(here && BESIDE.some(([y, x]) => !slice[row + y]?.[column + x]))))
  await page.keyboard.press('b')
  for (const [row, from, to] of runsIn(edge)) await stroke(image, row, from, to)
  await page.keyboard.press('f')
  for (const [row, column] of insides(slice, edge)) await stroke(image, row, column, column)
  // A hand that slipped: one pixel where nothing is, which the eraser takes away.
  const [row, column] = [0, 0]
  assert.equal(slice[row][column], 0)
  for (const tool of ['b', 'e']) {
    await page.keyboard.press(tool)
    await stroke(image, row, column, column)
  }
}

async function goTo(slice) {
  const shown = page.getByTestId('slice-number')
  const now = async () => Number(/^Slice (\d+) of/.exec(await shown.innerText())[1]) - 1
  for (let at = await now(); at !== slice; at += Math.sign(slice - at)) {
    await page.keyboard.press(slice > at ? 'PageDown' : 'PageUp')
    await shown.filter({ hasText: `Slice ${at + Math.sign(slice - at) + 1} of` }).waitFor()
  }
  await page.locator(`[data-testid=slice][data-ready=true][data-slice="${slice}"]`).waitFor()
}

/** Rows with the first and the last column of what hangs together in them. */
function runsIn(slice) {
  return slice.flatMap((line, row) => {
    const begins = line.flatMap((here, column) => (here && !line[column - 1] ? [column] : []))
    return begins.map((from) => {
      const beyond = line.indexOf(0, from)
      return [row, from, (beyond < 0 ? line.length : beyond) - 1]
    })
  })
}

/** One pixel of each region within the edge. */
function insides(slice, edge) {
  const left = slice.map((line, row) => line.map((here, column) => here && !edge[row][column]))
  return left.flatMap((line, row) =>
    line.flatMap((_, column) => {
      if (!left[row][column]) return []
      const found = [[row, column]]
      left[row][column] = 0
      for (const [y, x] of found) {
        for (const [dy, dx] of BESIDE) {
          if (!left[y + dy]?.[x + dx]) continue
          left[y + dy][x + dx] = 0
          found.push([y + dy, x + dx])
        }
      }
      return [[row, column]]
    }),
  )
}

async function stroke(image, row, from, to) {
  await page.mouse.move(...(await onScreen(page, image, row, from)))
  await page.mouse.down()
  if (to !== from) await page.mouse.move(...(await onScreen(page, image, row, to)))
  await page.mouse.up()
}

async function send() {
  await page.keyboard.press('Escape')
  await pad.waitFor({ state: 'detached' })
  await verdict.getByRole('button', { name: 'Send the verdict' }).click()
  await page.getByTestId('own').filter({ hasText: 'You have judged this scan: correct' }).waitFor()
}
