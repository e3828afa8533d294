import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { signedIn } from './session.mjs'

/** The part of the story that is told in the list of scans, after two readers have judged one of them and differ. */
export function worklist({ page, url, user, password, image, look, fits }) {
  const rows = page.getByRole('navigation').locator('a.scan')
  const filters = page.getByTestId('filters')
  const chosen = page.getByTestId('chosen')

  /** The scans that were sent together. */
  let together = []

  function linkTo(id) {
    return page.locator(`a.scan[href="#/scans/${id}"]`)
  }

  /** Asks the list for that, too. */
  async function only(by, what) {
    if ((await filters.getAttribute('open')) === null) await filters.locator('summary').click()
    await filters.getByLabel(by, { exact: true }).selectOption(what)
  }

  async function remove(filter) {
    await chosen.getByRole('button', { name: filter }).click()
  }

  /** Which row has the focus, from 0; -1: none. */
  function focused() {
    return rows.evaluateAll((all) => all.indexOf(document.activeElement))
  }

  return {
    async 'each row says how far its review is, and only what is asked for is listed'() {
      await page.goto(`${url}#/`)
      await page.reload()
      await page.getByTestId('review').filter({ hasText: 'Readers differ' }).first().waitFor()
      await page.getByTestId('review').filter({ hasText: 'Not reviewed' }).first().waitFor()
      for (const [by, what, said] of [['Review', 'conflict', /Readers differ$/], ['Answer', 'found', /^Found/], ['State', 'done', /^(Found|None found|Not analysable|Failed)/]]) {
        await only(by, what)
        await rows.first().waitFor()
        const listed = await rows.allInnerTexts()
        assert.ok(listed.every((words) => said.test(words.trim())), `${by}: ${listed.join(' | ')}`)
        await remove(`Remove the filter ${by}`)
        await chosen.waitFor({ state: 'detached' })
      }
    },

    async 'filters hold together, the address keeps them, each is taken away, and what cannot be is said'() {
      await only('Review', 'conflict')
      await only('Answer', 'found')
      await only('State', 'done')
      await page.waitForURL((at) => at.hash === '#/?answer=found&state=done&review=conflict')
      await rows.first().waitFor()
      await look('list-conflict')
      await page.reload()
      await chosen.getByRole('button', { name: 'Remove the filter Review: Readers differ' }).waitFor()
      await rows.first().waitFor()
      assert.equal(await chosen.getByRole('listitem').count(), 4, 'three filters, and all of them at once')
      assert.match(await rows.first().getAttribute('href'), /\?answer=found&state=done&review=conflict$/)
      const asked = page.waitForResponse((response) => response.url().includes('/v1/scans?') && response.url().includes('state=queued'))
      await only('State', 'queued')
      assert.deepEqual([(await asked).status(), (await (await asked).json()).scans], [200, []], 'what contradicts itself is no mistake')
      await page.getByText('No scan can be all of this at once').waitFor()
      await look('list-contradiction')
      await remove('Remove the filter State: Waiting')
      await page.waitForURL((at) => at.hash === '#/?answer=found&review=conflict')
      await rows.first().waitFor()
      assert.ok(await filters.locator('summary').evaluate((summary) => summary === document.activeElement), 'the focus stays with the filters')
      await only('Answer', 'failed')
      await remove('Remove the filter Review')
      await page.getByText('There is no such scan.').waitFor()
      await remove('Remove the filter Answer')
      await page.waitForURL((at) => at.hash === '#/')
      await rows.first().waitFor()
    },

    async 'j and k go through the list, and Enter opens a scan'() {
      await page.locator('h1').focus()
      await page.keyboard.press('j')
      assert.equal(await focused(), 0)
      await page.keyboard.press('j')
      assert.equal(await focused(), 1)
      await page.keyboard.press('k')
      assert.equal(await focused(), 0)
      const href = await rows.first().getAttribute('href')
      await page.keyboard.press('Enter')
      await page.waitForURL((at) => at.hash === href)
      await page.getByTestId('answer').waitFor()
    },

    async 'the list is sorted and searched, and its address says how it is sorted'() {
      await page.goto(`${url}#/`)
      await rows.first().waitFor()
      const all = await rows.count()
      const results = []
      const heed = (request) => /\/v1\/scans\/[\w-]+\/result$/.test(request.url()) && results.push(request.url())
      page.on('request', heed)
      await page.getByLabel('Sort', { exact: true }).selectOption('volume')
      await page.waitForURL((at) => at.hash === '#/?sort=volume')
      await rows.filter({ hasText: ' mL' }).first().waitFor()
      await page.reload()
      await rows.filter({ hasText: ' mL' }).first().waitFor()
      // A study stands where the largest of its scans does: those after it may be smaller than what follows.
      const volumes = (await rows.allInnerTexts()).map((said) => Number(/([\d.,]+) mL/.exec(said)?.[1].replaceAll(',', '') ?? -1))
      assert.equal(volumes[0], Math.max(...volumes))
      page.off('request', heed)
      assert.deepEqual(results, [], 'the list itself says how large findings are')
      assert.match(await rows.first().getAttribute('href'), /^#\/scans\/[\w-]+\?sort=volume$/)
      await page.locator('h1').focus()
      await page.keyboard.press('/')
      const search = page.getByRole('searchbox', { name: 'Search the list' })
      assert.ok(await search.evaluate((field) => field === document.activeElement))
      const id = await rows.first().getAttribute('data-scan')
      await page.keyboard.type(id.slice(-6))
      await rows.nth(1).waitFor({ state: 'detached' })
      assert.equal(await rows.first().getAttribute('data-scan'), id)
      await look('list-searched')
      await search.fill('nobody is called so')
      const asked = page.waitForResponse((response) => response.url().includes('accession_number='))
      await page.keyboard.press('Enter')
      assert.equal((await asked).status(), 200)
      await page.getByText('There is no such scan.').waitFor()
      await search.fill('')
      await page.getByLabel('Sort', { exact: true }).selectOption('newest')
      await page.waitForURL((at) => at.hash === '#/')
      await rows.nth(all - 1).waitFor()
    },

    async 'a row has a picture, and what was sent together is one row that folds'() {
      await page.goto(`${url}#/`)
      await rows.first().getByTestId('thumbnail').waitFor()
      const { authorization } = await signedIn(url, user, password)
      const body = new FormData()
      for (const name of ['front.png', 'back.png']) body.append('file', new Blob([readFileSync(image)], { type: 'image/png' }), name)
      const sent = await fetch(new URL('v1/batches', url), { method: 'POST', headers: { authorization }, body })
      together = (await sent.json()).entries.map(({ scan }) => scan.id)
      // Nobody has asked for them: the stream of events tells.
      const group = page.getByRole('button', { name: /^Sent together, 2 scans/ })
      await group.waitFor()
      for (const id of together) await linkTo(id).waitFor()
      await look('list-together')
      await group.click()
      await linkTo(together[0]).waitFor({ state: 'detached' })
      await group.click()
      await linkTo(together[0]).waitFor()
      await page.setViewportSize({ width: 360, height: 740 })
      await fits('the list with a group')
      await look('phone-list-together')
      await page.setViewportSize({ width: 1440, height: 900 })
    },

    async 'a waiting scan is made urgent by its row, and by a key it waits its turn again'() {
      // It would be analysed before anybody has pressed anything: that it still waits is what the list is told here.
      for (const id of together) await linkTo(id).filter({ hasText: /Found|None found/ }).waitFor()
      const asked = []
      const waiting = (scan) => ({ ...scan, state: 'queued', answer: null, priority: asked.at(-1) ?? 'routine' })
      let told
      // The stream would tell how the scan is by now.
      await page.route(/\/v1\/events$/, (route) => route.fulfill({ contentType: 'text/event-stream', body: ': nothing\n\n' }))
      await page.route(/\/v1\/scans\?/, async (route) => {
        const response = await route.fetch()
        const listed = await response.json()
        told ??= listed.scans.find((scan) => scan.id === together[0])
        await route.fulfill({ json: { ...listed, scans: listed.scans.map((scan) => (scan.id === together[0] ? waiting(scan) : scan)) } })
      })
      await page.route(/\/v1\/scans\/[\w-]+$/, async (route) => {
        if (route.request().method() !== 'PATCH') return route.continue()
        asked.push(route.request().postDataJSON().priority)
        return route.fulfill({ json: waiting(told) })
      })
      await page.reload()
      await rows.filter({ hasText: 'Waiting' }).first().waitFor()
      const row = page.locator('li.one', { has: linkTo(told.id) })
      await row.getByRole('button', { name: /^What to do with scan/ }).click()
      await look('list-waiting')
      await row.getByRole('button', { name: 'Make urgent' }).click()
      await linkTo(told.id).filter({ hasText: 'Waiting, urgent' }).waitFor()
      await linkTo(told.id).focus()
      await page.keyboard.press('p')
      await linkTo(told.id).filter({ hasNotText: 'urgent' }).waitFor()
      assert.deepEqual(asked, ['stat', 'routine'])
      await page.unrouteAll()
      await page.reload()
      await rows.first().waitFor()
    },

    async 'a scan is deleted once that is meant, and is gone for everybody'() {
      const [one, other] = together.map(linkTo)
      for (const id of together) await linkTo(id).filter({ hasText: /Found|None found/ }).waitFor()
      const row = page.locator('li.one', { has: one })
      await row.getByRole('button', { name: /^What to do with scan/ }).click()
      await look('list-actions')
      page.once('dialog', (dialog) => dialog.dismiss())
      await row.getByRole('button', { name: 'Delete' }).click()
      assert.ok(await one.isVisible(), 'what was not meant is not done')
      page.once('dialog', (dialog) => dialog.accept())
      await row.getByRole('button', { name: 'Delete' }).click()
      await one.waitFor({ state: 'detached' })
      await other.focus()
      page.once('dialog', (dialog) => dialog.accept())
      await page.keyboard.press('Delete')
      await other.waitFor({ state: 'detached' })
      await page.goto(`${url}#/scans/${together[0]}`)
      await page.reload()
      await page.getByRole('alert').filter({ hasText: 'No such scan' }).waitFor()
      await page.goto(`${url}#/`)
      await rows.first().waitFor()
    },

    async 'who has given one of the verdicts is not offered to settle them'() {
      await only('Review', 'conflict')
      await rows.first().click()
      await page.getByTestId('not-yours').waitFor()
      assert.equal(await page.getByTestId('settle').count(), 0)
      await look('verdict-of-one-who-differs')
    },

    async 'an adjudicator, whom an administrator names, settles what readers differ on, and their words stand'() {
      const headers = await signedIn(url, user, password)
      const one = { user_name: 'chief-reader', password: `${password}-of-the-chief`, roles: ['clinician'] }
      const made = await fetch(new URL('v1/users', url), { method: 'POST', headers, body: JSON.stringify(one) })
      assert.ok(made.ok || made.status === 409, `${made.status}`)
      const back = page.url()
      await page.goto(`${url}#/administration`)
      const row = page.getByTestId('users').getByRole('listitem').filter({ hasText: one.user_name })
      const changed = page.waitForResponse((response) => response.request().method() === 'PATCH' && response.url().includes('/v1/users/'))
      await row.getByRole('button', { name: 'Change the roles' }).click()
      await row.getByLabel('Adjudicator').check()
      await row.getByRole('button', { name: 'Save the roles' }).click()
      assert.deepEqual((await (await changed).json()).roles.sort(), ['adjudicator', 'clinician'])

      const context = await page.context().browser().newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } })
      const own = await context.newPage()
      const verdict = own.getByTestId('verdict')
      const settle = own.getByTestId('settle')
      await own.goto(url)
      await own.getByLabel('User name').fill(one.user_name)
      await own.getByLabel('Password').fill(one.password)
      await own.getByRole('button', { name: 'Sign in' }).click()
      await own.getByRole('navigation').locator('a.scan').filter({ hasText: 'Readers differ' }).first().click()
      await settle.getByRole('button', { name: 'Settle it' }).click()
      await own.getByTestId('others').waitFor()
      await own.keyboard.press('a')
      await look('verdict-settling', own)
      const sent = own.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/feedback'))
      await verdict.getByRole('button', { name: 'Send the verdict' }).click()
      const word = (await sent).postDataJSON()
      assert.deepEqual([word.verdict, word.adjudicates.length], ['agree', 2])
      await own.getByTestId('own').filter({ hasText: 'agree' }).waitFor()
      await own.getByTestId('others').filter({ hasText: 'settled by another word' }).waitFor()
      await settle.waitFor({ state: 'detached' })
      await context.close()

      await page.goto(back)
      await remove('Remove the filter Review')
      await page.locator('a.scan[aria-current]').filter({ hasText: 'Agreed' }).waitFor()
    },
  }
}
