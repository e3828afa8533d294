import assert from 'node:assert/strict'
import { inFile, indexIn, labelsIn, onScreen } from './nifti.mjs'
import { signedIn } from './session.mjs'

/** A device keeps a step in no time; that it never does must not hang. */
const KEEPING_MS = 20_000

/** Who has judged the scan, too, before the story comes here. */
const OTHER = 'second-reader'

/** How many voxels are marked in each of the drawings that the device keeps. */
function keptOn(page) {
  return page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const ones = (bits) => bits.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
        const opened = indexedDB.open('medseg.drafts')
        opened.onerror = () => reject(opened.error)
        opened.onsuccess = () => {
          const all = opened.result.transaction('drafts').objectStore('drafts').getAll()
          all.onsuccess = () => {
            opened.result.close()
            resolve(all.result.map(({ drawing }) => ones(drawing.bits)))
          }
        }
      }),
  )
}

/** How many drawings that were not sent the device keeps. */
export async function draftsOn(page) {
  return (await keptOn(page)).length
}

/** The part of the story in which a reader draws the outline as it should be, in a volume that is open and was judged. */
export function drawing({ page, url, user, password, ofScan, shown, look }) {
  const verdict = page.getByTestId('verdict')
  const pad = page.getByTestId('pad')
  const tools = page.getByTestId('drawing')
  const line = page.locator('[data-testid=drawn] .over')
  const masks = []
  /** What was drawn, as slice, row and column of the pictures. */
  const drawn = []
  let image

  async function told(path) {
    const headers = await signedIn(url, user, password)
    return fetch(ofScan(path), { headers })
  }

  /** Columns and rows between which the outline of the slice lies; nothing where there is none. */
  async function bounds() {
    return line.evaluate((path) => {
      const { x, y, width, height } = path.getBBox()
      return path.getAttribute('d') === '' ? undefined : [x, y, x + width, y + height]
    })
  }

  async function labels(path) {
    return labelsIn(Buffer.from(await (await told(path)).arrayBuffer()))
  }

  page.on('request', (request) => /\/feedback\/.+\/mask/.test(request.url()) && masks.push(request.url()))

  return {
    async 'an outline is drawn with the mouse, on the very pixels'() {
      image = (await (await told('/result')).json()).image
      const [row, column] = [Math.round(image.shape.rows / 3), Math.round(image.shape.columns / 4)]
      await verdict.getByRole('button', { name: 'Say something else' }).click()
      await page.keyboard.press('c')
      await page.keyboard.press('Home')
      await page.keyboard.press('b')
      await pad.waitFor()
      assert.equal(await bounds(), undefined, 'where nothing was found nothing is drawn yet')
      for (let count = 0; count < 8; count++) await page.keyboard.press('s')
      assert.match(await page.getByTestId('brush').innerText(), /^1 (mm|pixel)$/)
      await page.mouse.move(...(await onScreen(page, image, row, column)))
      await page.mouse.down()
      await page.mouse.move(...(await onScreen(page, image, row, column + 10)), { steps: 4 })
      await page.mouse.up()
      assert.deepEqual(await bounds(), [column, row, column + 11, row + 1])
      for (let by = 0; by <= 10; by++) drawn.push([0, row, column + by])
      await look('drawing')
    },

    async 'an outline is drawn by keys alone, taken back and done again'() {
      await pad.focus()
      await page.keyboard.press('PageDown')
      await page.getByTestId('slice-number').filter({ hasText: 'Slice 2 of' }).waitFor()
      for (let by = 0; by < 3; by++) await page.keyboard.press('Shift+ArrowRight')
      await page.keyboard.down('Space')
      for (let by = 0; by < 3; by++) await page.keyboard.press('ArrowDown')
      await page.keyboard.up('Space')
      const [, row, last] = drawn.at(-1)
      const column = last + 30
      assert.deepEqual(await bounds(), [column, row, column + 1, row + 4])
      await page.keyboard.press('Control+z')
      assert.equal(await bounds(), undefined)
      await page.keyboard.press('Control+y')
      assert.deepEqual(await bounds(), [column, row, column + 1, row + 4])
      for (let by = 0; by <= 3; by++) drawn.push([1, row + by, column])
      await page.keyboard.press('e')
      await page.keyboard.press('Space')
      await page.keyboard.press('Control+z')
      await page.keyboard.press('Escape')
      await pad.waitFor({ state: 'detached' })
      // What is said of a finding is drawn, too, and is one step.
      const rejects = verdict.getByLabel('Region 1 is no tumour')
      await rejects.check()
      for (const [keys, isSaid] of [['Control+z', false], ['Control+y', true], ['Control+z', false]]) {
        await page.keyboard.press(keys)
        assert.equal(await rejects.isChecked(), isSaid, keys)
      }
    },

    async 'a reload in the midst loses nothing that was drawn'() {
      const own = (await labels('/mask.nii.gz')).labels.reduce((sum, label) => sum + (label === 0 ? 0 : 1), 0)
      const deadline = Date.now() + KEEPING_MS
      while ((await keptOn(page))[0] !== own + drawn.length) assert.ok(Date.now() < deadline, 'the last step is kept, too')
      const before = await bounds()
      await page.reload()
      await page.getByTestId('offered').waitFor()
      assert.ok(await verdict.getByLabel('Correct').isChecked())
      assert.equal(await line.count(), 0, 'it is offered, and not forced on anybody')
      await look('drawing-offered')
      await page.getByRole('button', { name: 'Go on with that drawing' }).click()
      await tools.waitFor()
      await page.getByTestId('answer').click()
      await page.keyboard.press('Home')
      await page.keyboard.press('ArrowDown')
      await page.getByTestId('slice-number').filter({ hasText: 'Slice 2 of' }).waitFor()
      await shown()
      assert.deepEqual(await bounds(), before)
      assert.equal(await draftsOn(page), 1)
    },

    async 'a connection that is lost while it is sent loses nothing, it is kept once, and beside what another says meanwhile'() {
      const keys = []
      await page.route(/\/feedback$/, (route) => {
        if (route.request().method() !== 'POST') return route.continue()
        keys.push(route.request().headers()['idempotency-key'])
        return keys.length === 1 ? route.abort() : route.continue()
      })
      const words = async () => {
        const { feedback } = await (await told('/feedback')).json()
        return [user, OTHER].map((name) => feedback.filter(({ reader }) => reader === name).length)
      }
      const before = await words()
      await verdict.getByRole('button', { name: 'Send the verdict' }).click()
      await verdict.getByRole('alert').filter({ hasText: 'kept on this device for 30 days' }).waitFor()
      const word = { verdict: 'agree', truth: 'tumour', reason: null, note: '', findings: [], missed: [] }
      const headers = await signedIn(url, OTHER, `${password}-of-the-second`)
      const said = await fetch(ofScan('/feedback'), { method: 'POST', headers, body: JSON.stringify(word) })
      assert.equal(said.status, 201)
      await page.evaluate(() => dispatchEvent(new Event('online')))
      await page.getByTestId('own').filter({ hasText: 'You have judged this scan: correct' }).waitFor()
      await page.unrouteAll()
      assert.deepEqual([keys.length, keys[0]], [2, keys[1]])
      assert.deepEqual(await words(), before.map((count) => count + 1))
      await page.waitForFunction(() => !document.querySelector('[data-testid=drawing]'))
      assert.equal(await draftsOn(page), 0, 'what is sent is no draft any more')
    },

    async 'the mask that is kept has what was drawn, on the side where it was drawn, and nothing else'() {
      const word = (await (await told('/feedback')).json()).feedback.find(({ reader }) => reader === user)
      assert.ok(word.mask)
      const [own, kept] = [await labels('/mask.nii.gz'), await labels(`/feedback/${word.id}/mask`)]
      assert.deepEqual([kept.lengths, kept.right], [own.lengths, own.right])
      const indexOf = (voxel) => indexIn(own.lengths, inFile(voxel, own.lengths, image.own_grid))
      const expected = own.labels.map((label) => (label === 0 ? 0 : 1))
      for (const voxel of drawn) expected[indexOf(voxel)] = 1
      assert.ok(drawn.every((voxel) => own.labels[indexOf(voxel)] === 0))
      assert.ok(Buffer.from(kept.labels).equals(Buffer.from(expected)), 'voxel for voxel')
      // The letter R stands at the left of the picture: what was drawn further left is further to the patient's right.
      const toTheRight = (voxel) => {
        const [z, y, x] = inFile(voxel, own.lengths, image.own_grid)
        return own.right[0] * x + own.right[1] * y + own.right[2] * z + own.right[3]
      }
      assert.ok(toTheRight(drawn[0]) > toTheRight(drawn[10]))
      assert.deepEqual(masks, [], 'the page asks for no reader’s mask')
    },

    async 'what is drawn and not sent is kept for its reader'() {
      await verdict.getByRole('button', { name: 'Say something else' }).click()
      await page.keyboard.press('c')
      await page.keyboard.press('b')
      await pad.waitFor()
      await page.keyboard.press('t')
      await page.keyboard.press('Space')
      await page.waitForFunction(() => document.querySelector('[data-testid=drawn] .over')?.getAttribute('d') !== '')
      await page.keyboard.press('Escape')
      await tools.getByRole('button', { name: 'Go on drawing' }).waitFor()
    },
  }
}
