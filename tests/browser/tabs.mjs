import assert from 'node:assert/strict'

/** How often, and how long between, tabs are looked at that tell each other something. */
const TRIES = 40
const PAUSE_MS = 100

/** The parts of the story in which a reader has two tabs, leaves the room, and signs out. */
export function tabs({ context, page, url, password, look }) {
  let other

  /** The refresh token that a tab keeps for a reload; nothing where it keeps none. */
  function keptBy(tab) {
    return tab.evaluate(() => JSON.parse(sessionStorage.getItem('medseg.session') ?? '{}').refresh_token)
  }

  async function alike() {
    const [one, another] = await Promise.all([page, other].map(keptBy))
    return one !== undefined && one === another
  }

  const shared = {
    async 'another tab of the browser needs no password, and both go on when the session is renewed'() {
      other = await context.newPage()
      await other.goto(`${url}#/`)
      await other.getByRole('heading', { name: 'New scan' }).waitFor()
      const before = await keptBy(page)
      const renewed = page.waitForResponse((response) => response.url().endsWith('/v1/token'))
      await page.clock.fastForward('04:30')
      await renewed
      for (let tries = 0; (await keptBy(page)) === before || !(await alike()); tries++) {
        assert.ok(tries < TRIES, 'the tabs do not go on with one session')
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      }
      await other.reload()
      await other.getByRole('heading', { name: 'New scan' }).waitFor()
    },

    async 'a page that nobody touches for long is locked, shows nothing of anybody, and opens where it was'() {
      await page.getByTestId('size').waitFor()
      const address = page.url()
      await page.clock.fastForward('16:00')
      for (const tab of [page, other]) {
        await tab.getByText('Locked: nobody was here').waitFor()
        assert.equal(await keptBy(tab), undefined, 'a reload would open it')
        assert.equal(await tab.locator('.aside[role=status]').textContent(), '', 'what was told last is still there')
      }
      assert.equal(await page.getByTestId('size').count(), 0)
      await look('locked')
      await other.reload()
      await other.getByRole('button', { name: 'Sign in' }).waitFor()
      // Who it was stands there.
      await page.getByLabel('Password').fill(password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByTestId('size').waitFor()
      assert.equal(page.url(), address)
      await other.reload()
      await other.getByRole('heading', { name: 'New scan' }).waitFor()
    },
  }

  const ended = {
    async 'and in the other tab, too'() {
      await other.getByRole('button', { name: 'Sign in' }).waitFor()
      assert.equal(await other.evaluate(() => sessionStorage.length), 0)
      await other.close()
    },
  }

  return { shared, ended }
}
