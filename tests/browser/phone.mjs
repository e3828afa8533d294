import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { signedIn } from './session.mjs'

const SCREEN = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, locale: 'en-GB' }
const PAUSE_MS = 100
const FLING_MS = 500
const STEPS = 6

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The part of the story that a reader tells with their fingers, on a phone of their own. */
export function onPhone({ browser, url, user, password, image, look }) {
  let page, fingers, scan

  /** Fingers that are put down at some places, moved to others and lifted: there is one to each place. */
  async function move(from, to) {
    const at = (part) => from.map(([x, y], finger) => ({ x: x + part * (to[finger][0] - x), y: y + part * (to[finger][1] - y), id: finger }))
    await fingers.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(0) })
    for (let step = 1; step <= STEPS; step++) {
      await fingers.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(step / STEPS) })
    }
    await fingers.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
    // The browser takes a touch that comes sooner for the end of a fling, and not for a tap.
    await pause(FLING_MS)
  }

  async function middle() {
    const stage = page.getByTestId('slice')
    await stage.scrollIntoViewIfNeeded()
    const { x, y, width, height } = await stage.boundingBox()
    return [x + width / 2, y + height / 2]
  }

  return {
    async 'on a phone a scan is opened by taps'() {
      const { authorization } = await signedIn(url, user, password)
      const sent = await fetch(new URL('v1/scans', url), { method: 'POST', headers: { authorization }, body: readFileSync(image) })
      scan = (await sent.json()).id
      page = await (await browser.newContext(SCREEN)).newPage()
      fingers = await page.context().newCDPSession(page)
      await page.goto(`${url}#/`)
      await page.getByLabel('User name').fill(user)
      await page.getByLabel('Password').fill(password)
      await page.getByRole('button', { name: 'Sign in' }).tap()
      await page.getByRole('navigation').locator(`a[href="#/scans/${scan}"]`).tap()
      await page.getByTestId('size').waitFor()
      await page.locator('[data-testid=slice][data-ready=true]').waitFor()
      await page.locator('path.main').waitFor()
    },

    async 'two fingers apart make the picture larger, and side by side they set the window'() {
      const [x, y] = await middle()
      const own = await page.getByTestId('window').innerText()
      await move([[x - 40, y], [x + 40, y]], [[x - 100, y], [x + 100, y]])
      await page.getByTestId('zoom').filter({ hasNotText: '1.0' }).waitFor()
      assert.equal(await page.getByTestId('window').innerText(), own)
      await page.getByRole('button', { name: 'Fit' }).tap()
      const [left, top] = await middle()
      await move([[left - 20, top], [left + 20, top]], [[left + 40, top + 30], [left + 80, top + 30]])
      await page.getByTestId('window').filter({ hasNotText: own }).waitFor()
      await page.getByTestId('zoom').filter({ hasText: '1.0' }).waitFor()
    },

    async 'an outline is drawn with a finger, and sent as a correction'() {
      const line = page.locator('[data-testid=drawn] .over')
      await page.getByTestId('verdict').locator('label').filter({ hasText: 'Correct' }).tap()
      await page.getByRole('button', { name: 'Draw the outline' }).tap()
      await page.getByTestId('pad').waitFor()
      const before = await line.getAttribute('d')
      const [x, y] = await middle()
      await move([[x - 60, y + 60]], [[x + 30, y + 70]])
      for (let tries = 0; (await line.getAttribute('d')) === before; tries++) {
        assert.ok(tries < 20, 'a finger draws nothing')
        await pause(PAUSE_MS)
      }
      await look('phone-drawing', page)
      await page.getByRole('button', { name: 'Send the verdict' }).tap()
      await page.getByTestId('own').filter({ hasText: 'You have judged this scan: correct' }).waitFor()
      const headers = await signedIn(url, user, password)
      const { feedback } = await (await fetch(new URL(`v1/scans/${scan}/feedback`, url), { headers })).json()
      assert.deepEqual(feedback.map(({ verdict, mask }) => [verdict, mask]), [['correct', true]])
      assert.ok(feedback[0].dice < 1, 'what was drawn is not in the mask')
      await page.context().close()
    },
  }
}
