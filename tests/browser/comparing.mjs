import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import { pixelsOf } from './pixels.mjs'
import { signedIn } from './session.mjs'

/** A volume has many slices to predict. */
const ANALYSIS_MS = 120_000
const DRAWING_MS = 10_000
const PATIENT = 'canary-4712'
/** What is black, and what part of a canvas is not, where a head is drawn: letters and crosshairs are less. */
const [BLACK, NEARLY, DRAWN] = [[0, 0, 0], 8, 0.03]
/** Bytes of a NIfTI header, and where it says how many bits a voxel has. */
const [HEADER, BITS] = [352, 72]

/** The part of the story in which a volume is measured, seen in three planes, and set beside an earlier one. */
export function comparing({ page, url, user, password, volume, look, fits }) {
  const room = page.locator('.room')
  const stage = room.locator('.stage')
  const planes = page.getByTestId('planes')
  const beside = page.getByTestId('beside')
  const priors = page.getByTestId('priors')
  const toPlanes = page.getByRole('button', { name: '3 planes' })

  /** The volume as an image of its own: one voxel in its middle differs by nearly nothing. */
  function variant(number) {
    const file = gunzipSync(readFileSync(volume))
    const bytes = file.readInt16LE(BITS) / 8
    const voxels = (file.length - HEADER) / bytes
    file[HEADER + bytes * Math.floor(voxels / 2)] ^= number
    return gzipSync(file)
  }

  /** Sends it as that patient's, past the page; its id, once it is done. */
  async function analysed(body) {
    const { authorization } = await signedIn(url, user, password)
    const headers = { authorization, 'content-type': 'application/gzip' }
    const sent = await fetch(new URL(`v1/scans?patient_id=${PATIENT}`, url), { method: 'POST', headers, body })
    assert.equal(sent.status, 202)
    const { id } = await sent.json()
    for (const until = Date.now() + ANALYSIS_MS; ; ) {
      const scan = await (await fetch(new URL(`v1/scans/${id}`, url), { headers: { authorization } })).json()
      if (scan.state === 'done') return id
      assert.ok(Date.now() < until, `${id} is not done in time`)
      await new Promise((again) => setTimeout(again, 200))
    }
  }

  async function drag(target, button, dx, dy) {
    const { x, y, width, height } = await target.boundingBox()
    const [left, top] = [x + width / 4, y + height / 4]
    await page.mouse.move(left, top)
    await page.mouse.down({ button })
    await page.mouse.move(left + dx, top + dy, { steps: 5 })
    await page.mouse.up({ button })
  }

  /** Until something is drawn on it: a canvas may be there, and show nothing. */
  async function drawn(canvas, what) {
    for (const until = Date.now() + DRAWING_MS; ; ) {
      const { width, height } = await canvas.boundingBox()
      const black = await pixelsOf(page, await canvas.screenshot(), BLACK, NEARLY)
      if (black < (1 - DRAWN) * width * height) return
      assert.ok(Date.now() < until, `nothing is drawn of ${what}`)
      await new Promise((again) => setTimeout(again, 200))
    }
  }

  const sliceOf = async (part) => Number(await part.getByTestId('slice').getAttribute('data-slice'))

  async function slices(expected, how) {
    const [of, and] = expected
    await room.locator(`[data-testid=slice][data-slice="${of}"]`).waitFor()
    await beside.locator(`[data-testid=slice][data-slice="${and}"]`).waitFor()
    assert.deepEqual([await sliceOf(room), await sliceOf(beside)], expected, how)
  }

  return {
    async 'a drag measures in millimetres, and its line is taken back'() {
      // What was drawn and not sent is offered, and not yet gone on with: planes are not for who draws.
      await page.reload()
      await page.locator('[data-testid=slice][data-ready=true]').waitFor()
      await page.getByLabel('Measure').check()
      await drag(stage, 'left', 90, 30)
      assert.match((await page.getByTestId('measure').textContent()).trim(), /^\d+(\.\d+)? mm$/)
      await look('reading-measure')
      await page.getByRole('button', { name: 'Remove measures' }).click()
      assert.equal(await page.getByTestId('measure').count(), 0)
      await page.getByLabel('Measure').uncheck()
    },

    async 'a volume is seen in three planes and in 3-D, and its crosshair leads through the slices'() {
      await toPlanes.click()
      await page.locator('[data-testid=planes][data-ready=true]').waitFor()
      await page.keyboard.press('Home')
      await page.getByTestId('slice-number').filter({ hasText: 'Slice 1 of' }).waitFor()
      const canvas = planes.locator('canvas')
      const { x, y, width, height } = await canvas.boundingBox()
      // The first quarter has the plane from ear to ear: further up in it is another slice.
      await page.mouse.click(x + width / 4, y + height / 4)
      await page.getByTestId('slice-number').filter({ hasNotText: 'Slice 1 of' }).waitFor()
      const own = await page.getByTestId('window').innerText()
      await drag(canvas, 'right', 60, 30)
      await page.getByTestId('window').filter({ hasNotText: own }).waitFor()
      await drawn(canvas, 'three planes')
      await look('reading-planes')
      await planes.getByLabel('Layout').selectOption('3-D alone')
      await drawn(canvas, 'the volume in 3-D')
      await look('reading-volume')
      await toPlanes.click()
      await page.locator('[data-testid=slice][data-ready=true]').waitFor()
    },

    async 'a browser without WebGL 2 says so, keeps the slices and has the server cut other planes'() {
      await page.evaluate(() => {
        const own = HTMLCanvasElement.prototype.getContext
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind === 'webgl2' ? null : own.call(this, kind, ...more)
        }
      })
      await toPlanes.click()
      await planes.getByRole('alert').filter({ hasText: 'no WebGL 2' }).waitFor()
      const served = planes.getByTestId('served-planes')
      for (const [plane, sides] of [['Coronal', 'H R L F'], ['Sagittal', 'H A P F']]) {
        await served.getByLabel('Plane').selectOption(plane)
        await served.getByAltText(new RegExp(`, ${plane.toLowerCase()}, slice`)).waitFor()
        await page.waitForFunction(
          (sides) => [...document.querySelectorAll('[data-testid=served-planes] .picture span')].map((side) => side.textContent).join(' ') === sides,
          sides,
        )
      }
      await look('reading-served-planes')
      await toPlanes.click()
      await page.locator('[data-testid=slice][data-ready=true]').waitFor()
    },

    async 'the prior of the same patient is offered, with what has changed and the words of RANO'() {
      const prior = await analysed(variant(1))
      const now = await analysed(variant(2))
      await page.goto(`${url}#/scans/${now}`)
      await priors.getByTestId('rano').waitFor()
      assert.equal(await priors.locator('option').count(), 1)
      assert.equal(await priors.getByRole('combobox').inputValue(), prior)
      assert.match(await priors.innerText(), /This is no assessment/)
    },

    async 'both are scrolled together by the distance in mm, until that is turned off'() {
      await priors.getByRole('button', { name: 'Show it beside' }).click()
      await beside.locator('[data-testid=slice][data-ready=true]').waitFor()
      await page.keyboard.press('Home')
      await slices([0, 0], 'by a key')
      await beside.locator('.stage').hover()
      await page.mouse.wheel(0, 100)
      await slices([1, 1], 'by the wheel over the prior')
      await beside.getByLabel('Scroll together').uncheck()
      await beside.locator('.stage').hover()
      await page.mouse.wheel(0, 100)
      await slices([1, 2], 'by itself')
      await beside.getByLabel('Scroll together').check()
      await stage.hover()
      await page.mouse.wheel(0, 100)
      await slices([2, 3], 'what lay opposite stays opposite')
      await page.getByTestId('to-finding').first().click()
      await look('prior-beside')
      await page.setViewportSize({ width: 360, height: 740 })
      await fits('a scan beside its prior')
      await page.setViewportSize({ width: 1440, height: 900 })
      await priors.getByRole('button', { name: 'Hide it' }).click()
      await beside.waitFor({ state: 'detached' })
    },
  }
}
