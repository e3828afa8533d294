import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { drawing } from './drawing.mjs'
import { BOX, OUTLINE } from './phantom.mjs'
import { pixelsOf } from './pixels.mjs'
import { signedIn } from './session.mjs'

// As a hospital's file is called.
const FILE_NAME = 'DOE^JANE_19700101.nii.gz'
/** What another reader says: not to be seen before one's own verdict. */
const NOTE = 'CANARY-9'
/** A volume has many slices to predict. */
const ANALYSIS_MS = 120_000

/** The part of the story that is told in the reading room, of a volume in which a tumour is found. */
export function readingRoom({ page, url, user, password, volume, send, look, fits }) {
  let slices = 0
  const slice = page.getByTestId('slice')
  const stage = page.locator('.stage')
  const verdict = page.getByTestId('verdict')
  const presets = page.locator('.window select')

  /** The number of the slice that is looked at, from 1, once it is there. */
  async function shown() {
    await page.locator('[data-testid=slice][data-ready=true]').waitFor()
    const [, now, of] = /^Slice (\d+) of (\d+)$/.exec(await page.getByTestId('slice-number').innerText())
    // The number is there a moment before its picture is.
    await page.locator(`[data-testid=slice][data-ready=true][data-slice="${Number(now) - 1}"]`).waitFor()
    slices = Number(of)
    return Number(now)
  }

  async function goes(to, how) {
    await page.getByTestId('slice-number').filter({ hasText: `Slice ${to} of` }).waitFor()
    assert.equal(await shown(), to, how)
  }

  async function drag(button, dx, dy) {
    const { x, y, width, height } = await stage.boundingBox()
    await page.mouse.move(x + width / 2, y + height / 2)
    await page.mouse.down({ button })
    await page.mouse.move(x + width / 2 + dx, y + height / 2 + dy, { steps: 5 })
    await page.mouse.up({ button })
  }

  /** The address of the scan that is open, or of something of it. */
  function ofScan(path = '') {
    return new URL(`v1${new URL(page.url()).hash.slice(1)}${path}`, url).href
  }

  return {
    async 'a volume opens at its finding, with every slice behind it'() {
      await page.goto(`${url}#/`)
      await send({ name: FILE_NAME, mimeType: 'application/gzip', buffer: readFileSync(volume) })
      await page.getByTestId('answer').filter({ hasText: 'Tumour region found' }).waitFor({ timeout: ANALYSIS_MS })
      const [, found] = /slice (\d+)$/.exec(await page.getByTestId('to-finding').first().innerText())
      await page.locator('path.main').waitFor()
      assert.ok(Math.abs((await shown()) - Number(found)) <= 2)
      assert.equal(slices, 24)
      assert.ok((await page.getByTestId('strip-mark').count()) >= 1, 'the strip says where findings are')
      await look('reading-room')
    },

    async 'keys, wheel, slider and finger scroll through the slices'() {
      await page.getByTestId('to-finding').first().focus()
      await page.keyboard.press('Home')
      await goes(1, 'Home')
      await page.keyboard.press('ArrowDown')
      await goes(2, 'ArrowDown')
      await page.keyboard.press('PageDown')
      await goes(7, 'PageDown')
      await page.keyboard.press('ArrowUp')
      await goes(6, 'ArrowUp')
      await page.keyboard.press('End')
      await goes(slices, 'End')
      await page.keyboard.press('ArrowDown')
      await goes(slices, 'there is nothing behind the last')
      const { x, y, width, height } = await stage.boundingBox()
      await page.mouse.move(x + width / 2, y + height / 2)
      await page.mouse.wheel(0, -100)
      await goes(slices - 1, 'wheel')
      await page.getByLabel('Slice', { exact: true }).fill('11')
      await goes(12, 'slider')
      await stage.evaluate((node) => {
        const { left, top } = node.getBoundingClientRect()
        const at = (name, dy) => {
          const place = { pointerId: 7, pointerType: 'touch', button: 0, clientX: left + 90, clientY: top + 90 + dy }
          node.dispatchEvent(new PointerEvent(name, { ...place, bubbles: true, cancelable: true }))
        }
        at('pointerdown', 0)
        at('pointermove', 14)
        at('pointermove', 28)
        at('pointerup', 28)
      })
      await goes(14, 'finger')
    },

    async 'a finding is found again by its name and by its number'() {
      await page.keyboard.press('Home')
      await goes(1)
      assert.equal(await page.locator('path.main').count(), 0, 'where nothing was found nothing is drawn')
      const name = page.getByTestId('to-finding').first()
      const [, found] = /slice (\d+)$/.exec(await name.innerText())
      await name.click()
      await goes(Number(found), 'by its name')
      await page.keyboard.press('Home')
      await page.keyboard.press('1')
      await goes(Number(found), 'by its number')
    },

    async 'the outline lies in its box, as opaque as is asked for'() {
      const count = async (colour) => pixelsOf(page, await slice.screenshot(), colour)
      assert.ok((await count(OUTLINE)) > 50 && (await count(BOX)) > 50)
      // The file runs through the head another way than the picture: an outline that was not turned would lie elsewhere.
      const headers = await signedIn(url, user, password)
      const { findings } = await (await fetch(ofScan('/result'), { headers })).json()
      const [, top, left] = findings[0].box.from
      const [, bottom, right] = findings[0].box.to
      const drawn = await page.locator('path.main').evaluate((path) => {
        const { x, y, width, height } = path.getBBox()
        return [y, x, y + height, x + width]
      })
      const outside = [top - drawn[0], left - drawn[1], drawn[2] - bottom, drawn[3] - right]
      assert.ok(outside.every((by) => by <= 0), `in pixels beyond its box: ${outside}`)
      await page.getByLabel('Opacity of the outline').fill('0.3')
      assert.equal(await page.getByTestId('outline').getAttribute('opacity'), '0.3')
      assert.equal(await count(OUTLINE), 0)
      await page.getByLabel('Opacity of the outline').fill('1')
    },

    async 'letters say which side is the patient’s right, and a scale how long a centimetre is'() {
      assert.equal(await page.locator('.edges .left').innerText(), 'R')
      assert.equal(await page.locator('.edges .right').innerText(), 'L')
      assert.match(await page.getByTestId('view').innerText(), /patient’s right at the left/)
      assert.match(await page.locator('.edges .scale').innerText(), /^\d+ mm$/)
    },

    async 'the right button sets the window, and a preset sets it back'() {
      const own = await page.getByTestId('window').innerText()
      const asked = page.waitForResponse((response) => response.url().includes('/slices/') && response.url().includes('window='))
      await drag('right', 80, 40)
      assert.notEqual(await page.getByTestId('window').innerText(), own)
      assert.equal((await asked).status(), 200)
      assert.equal(await presets.inputValue(), '')
      await presets.selectOption('hard')
      await look('reading-window')
      await presets.selectOption('own')
      assert.equal(await page.getByTestId('window').innerText(), own)
      await page.keyboard.press('Tab')
      await page.keyboard.press('i')
      assert.ok(await page.getByLabel('Invert').isChecked())
      await look('reading-inverted')
      await page.keyboard.press('i')
    },

    async 'the picture is made larger under the pointer, moved and fitted again'() {
      const part = () => slice.getAttribute('viewBox')
      const whole = await part()
      await stage.hover()
      await page.keyboard.down('Control')
      await page.mouse.wheel(0, -200)
      await page.keyboard.up('Control')
      await page.getByTestId('zoom').filter({ hasNotText: '1.0' }).waitFor()
      const near = await part()
      assert.notEqual(near, whole)
      await drag('left', 60, 30)
      assert.notEqual(await part(), near)
      await page.getByRole('button', { name: 'Fit' }).click()
      assert.equal(await part(), whole)
    },

    async 'another reader’s word is not seen before one’s own'() {
      const admin = await signedIn(url, user, password)
      const reader = { user_name: 'second-reader', password: `${password}-of-the-second`, roles: ['clinician'] }
      const made = await fetch(new URL('v1/users', url), { method: 'POST', headers: admin, body: JSON.stringify(reader) })
      assert.ok(made.ok || made.status === 409, `${made.status}`)
      const second = await signedIn(url, reader.user_name, reader.password)
      const word = { verdict: 'agree', truth: 'tumour', reason: null, note: NOTE, findings: [], missed: [] }
      const given = await fetch(ofScan('/feedback'), { method: 'POST', headers: second, body: JSON.stringify(word) })
      assert.equal(given.status, 201, await given.text())
      await page.reload()
      await page.getByTestId('blind').filter({ hasText: 'Another reader has judged this scan' }).waitFor()
      assert.ok(!(await page.content()).includes(NOTE))
    },

    async 'a correction is made by keys alone, and undone before it is sent'() {
      await shown()
      await page.keyboard.press('c')
      assert.ok(await verdict.getByLabel('Correct').isChecked())
      await page.keyboard.press('Enter')
      await verdict.getByRole('alert').filter({ hasText: 'Mark a missed place' }).waitFor()
      await page.keyboard.press('Shift+ArrowRight')
      await page.keyboard.press('Shift+ArrowDown')
      await page.keyboard.press('m')
      await page.getByTestId('missed').waitFor()
      await page.keyboard.press('Control+z')
      await page.getByTestId('missed').waitFor({ state: 'detached' })
      await page.keyboard.press('m')
      await page.keyboard.press('Shift+Digit1')
      assert.ok(await verdict.getByLabel('Region 1 is no tumour').isChecked())
      await page.keyboard.press('Shift+Digit1')
      assert.equal(await verdict.getByRole('button', { name: /^Slice \d+, row \d+, column \d+$/ }).count(), 1)
      await look('verdict-correct')
    },

    async 'a click marks what was missed, and its mark is taken back'() {
      const places = verdict.getByRole('button', { name: /^Slice \d+, row \d+, column \d+$/ })
      const { x, y, width, height } = await stage.boundingBox()
      await page.mouse.click(x + width / 2 + 40, y + height / 2 - 40)
      await places.nth(1).waitFor()
      const name = await places.nth(1).innerText()
      await verdict.getByRole('button', { name: `Take back: ${name}` }).click()
      await places.nth(1).waitFor({ state: 'detached' })
      await verdict.getByLabel('Note, without names').fill('beside the ventricle')
    },

    async 'a lost connection loses nothing, and the same word is given once'() {
      const sent = []
      await page.route(/\/feedback$/, (route) => {
        if (route.request().method() !== 'POST') return route.continue()
        sent.push([route.request().headers()['idempotency-key'], route.request().postDataJSON()])
        return sent.length === 1 ? route.abort() : route.continue()
      })
      await verdict.getByRole('button', { name: 'Send the verdict' }).click()
      await verdict.getByRole('alert').filter({ hasText: 'kept in this tab' }).waitFor()
      await look('verdict-unsent')
      await page.reload()
      await shown()
      await verdict.getByLabel('Correct').waitFor()
      assert.ok(await verdict.getByLabel('Correct').isChecked(), 'the draft is there again')
      assert.equal(await verdict.getByLabel('Note, without names').inputValue(), 'beside the ventricle')
      await page.keyboard.press('Enter')
      await page.getByTestId('own').filter({ hasText: 'You have judged this scan: correct' }).waitFor()
      await page.unrouteAll()
      assert.equal(sent.length, 2)
      assert.deepEqual(sent[0], sent[1])
      const [, word] = sent[1]
      assert.deepEqual([word.verdict, word.truth, word.missed.length], ['correct', 'tumour', 1])
      assert.ok(word.findings.every(({ verdict }) => verdict === 'agree'))
      assert.equal(await page.evaluate(() => Object.keys(sessionStorage).filter((name) => name.includes('draft')).length), 0)
    },

    async 'after one’s own verdict others’ words are seen, and a later word stands beside it'() {
      await page.getByTestId('others').filter({ hasText: NOTE }).waitFor()
      await look('verdict-given')
      await page.emulateMedia({ media: 'print' })
      const signed = await page.getByTestId('signed').innerText()
      assert.ok(signed.includes(`${user} corrects it`) && !signed.includes(NOTE), `on paper stands: ${signed}`)
      await page.emulateMedia({ media: null })
      await verdict.getByRole('button', { name: 'Say something else' }).click()
      await page.keyboard.press('u')
      await page.keyboard.press('Enter')
      await page.getByTestId('own').filter({ hasText: 'unsure' }).waitFor()
      const headers = await signedIn(url, user, password)
      const { feedback } = await (await fetch(ofScan('/feedback'), { headers })).json()
      const own = feedback.filter(({ reader }) => reader === user)
      assert.deepEqual(own.map(({ verdict }) => verdict), ['unsure', 'correct'])
      assert.equal(own[0].supersedes, own[1].id)
    },

    async 'of one finding it is said by keys that its reader is unsure, why, and in a note, which is taken back'() {
      const note = verdict.getByLabel('Note on region 1')
      await verdict.getByRole('button', { name: 'Say something else' }).click()
      await page.keyboard.press('u')
      await verdict.getByLabel('Unsure of region 1').focus()
      await page.keyboard.press('Space')
      await verdict.getByLabel('Reason at region 1').selectOption('quality')
      await note.fill('too dark')
      await look('verdict-finding')
      await verdict.getByRole('button', { name: 'Undo' }).click()
      assert.equal(await note.inputValue(), '')
      await note.fill('too dark to tell')
      const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/feedback'))
      await verdict.getByRole('button', { name: 'Send the verdict' }).click()
      const finding = { label: 1, verdict: 'unsure', reason: 'quality', note: 'too dark to tell' }
      assert.deepEqual((await sent).postDataJSON().findings, [finding])
      await page.getByTestId('own').filter({ hasText: 'unsure' }).waitFor()
      const headers = await signedIn(url, user, password)
      const { feedback } = await (await fetch(ofScan('/feedback'), { headers })).json()
      assert.deepEqual(feedback[0].findings, [finding])
    },

    ...drawing({ page, url, user, password, ofScan, shown, look }),

    async 'single keys do nothing for whoever turns them off'() {
      await page.getByText('Keys and mouse').click()
      await page.getByLabel('Single keys').uncheck()
      await page.keyboard.press('i')
      assert.ok(!(await page.getByLabel('Invert').isChecked()))
      await look('reading-keys')
      await page.getByLabel('Single keys').check()
    },

    async 'a slice that cannot be fetched is said to, and is asked for again'() {
      await page.route(/\/slices\//, (route) => route.abort())
      await page.reload()
      // The outline says which slice is looked at: until it has come, the page asks by itself once more.
      await page.locator('path.main').waitFor()
      const alert = page.getByRole('alert').filter({ hasText: 'The slice cannot be shown' })
      await alert.waitFor()
      await page.unrouteAll()
      await alert.getByRole('button', { name: 'Try again' }).click()
      await shown()
    },

    async 'the reading room fits a phone'() {
      await page.setViewportSize({ width: 360, height: 740 })
      await shown()
      await fits('the reading room')
      await look('phone-reading-room')
      await page.setViewportSize({ width: 1440, height: 900 })
    },
  }
}
