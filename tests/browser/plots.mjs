import assert from 'node:assert/strict'
import { rowsOf } from './pixels.mjs'

/** What is drawn on the canvas, on the page's dark ground: the edges of what is bright are grey, too, but not of this one. */
const FILLED = { colour: [0x67, 0x74, 0x7a], tolerance: 6 }
const BRIGHT = { colour: [0xff, 0xff, 0xff], tolerance: 24 }
/** Lines have a width, and pixels are whole. */
const NEAR_PX = 3
/** A point is a circle over its band: beside it the band alone is seen. */
const BESIDE_PX = 8
const POINT_PX = 5

/** A plot that was drawn, called as its figure is headed. */
export async function plotOf(page, heading) {
  const figure = page.getByTestId('plot').filter({ has: page.getByRole('heading', { name: heading, exact: true }) })
  await figure.and(page.locator('[data-ready=true]')).waitFor()
  const over = figure.locator('.u-over')
  await over.scrollIntoViewIfNeeded()

  /** The first and the last pixel of a colour in the columns that lie `aside` of each row's middle, from the bottom of the plot. */
  async function heights({ colour, tolerance }, rows, aside = 0) {
    // Nothing is under the pointer: what is read there would be seen, too.
    await page.mouse.move(0, 0)
    const canvas = figure.locator('canvas')
    const [whole, { x, y, width, height }] = await Promise.all([canvas.boundingBox(), over.boundingBox()])
    const columns = Array.from({ length: rows }, (_, row) => Math.round(x - whole.x + ((row + 0.5) * width) / rows + aside))
    const seen = await rowsOf(page, await canvas.screenshot(), colour, columns, tolerance)
    const bottom = y - whole.y + height
    return { height, seen: seen.map(([first, last]) => (first === undefined ? undefined : { top: bottom - first, bottom: bottom - last - 1 })) }
  }

  return {
    figure,

    /** The rows of its table. */
    async table() {
      if (!(await figure.getByTestId('plotted').first().isVisible())) await figure.getByText('The numbers', { exact: true }).click()
      const rows = await figure.getByTestId('plotted').all()
      return Promise.all(rows.map((row) => row.locator('th, td').allInnerTexts()))
    },

    /** What is read at each row when the pointer is there: it comes from what was plotted. */
    async pointed(rows) {
      const { width, height } = await over.boundingBox()
      const read = []
      for (let row = 0; row < rows; row++) {
        await over.hover({ position: { x: ((row + 0.5) * width) / rows, y: height / 2 } })
        read.push(await figure.getByTestId('pointed').innerText())
      }
      return read
    },

    /** The tops of bars and of outlines are where these shares are. */
    async barsAre(reference, window) {
      const top = Math.max(0.01, ...reference, ...window)
      for (const [name, drawn, shares] of [['bar', FILLED, reference], ['outline', BRIGHT, window]]) {
        const { height, seen } = await heights(drawn, shares.length)
        shares.forEach((share, bin) => near(seen[bin]?.top ?? 0, (height * share) / top, `the ${name} of bin ${bin}`))
      }
    },

    /** Bands and their points are where these values, from 0 to 1, are. */
    async intervalsAre(values) {
      const { height, seen } = await heights(FILLED, values.length, BESIDE_PX)
      const points = (await heights(BRIGHT, values.length)).seen
      values.forEach(({ value, low, high }, row) => {
        near(points[row].top, height * value + POINT_PX, `the point of row ${row}`)
        near(seen[row].top, height * high, `the band’s upper end in row ${row}`)
        near(seen[row].bottom, height * low, `the band’s lower end in row ${row}`)
      })
    },
  }
}

function near(found, expected, what) {
  assert.ok(Math.abs(found - expected) <= NEAR_PX, `${what} is ${found} pixels high, and not ${expected}`)
}

/** As the page writes a share. */
export function share(value) {
  return `${(100 * value).toFixed(1)} %`
}
