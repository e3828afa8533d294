import assert from 'node:assert/strict'

/** The part of the story that is told in the list of scans, after two readers have judged one of them and differ. */
export function worklist({ page, url, look }) {
  const rows = page.getByRole('navigation').locator('a.scan')
  const show = page.getByLabel('Show', { exact: true })

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
      for (const [name, said] of [['review:conflict', /Readers differ$/], ['answer:found', /^Found/], ['state:done', /^(Found|None found|Not analysable|Failed)/]]) {
        await show.selectOption(name)
        await rows.first().waitFor()
        const listed = await rows.allInnerTexts()
        assert.ok(listed.every((words) => said.test(words.trim())), `${name}: ${listed.join(' | ')}`)
      }
      await show.selectOption('review:conflict')
      await rows.first().waitFor()
      await look('list-conflict')
      await show.selectOption('answer:failed')
      await page.getByText('There is no such scan.').waitFor()
      await show.selectOption('')
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

    async 'an administrator settles what readers differ on, and their words stand'() {
      const verdict = page.getByTestId('verdict')
      const settle = page.getByTestId('settle')
      await show.selectOption('review:conflict')
      await rows.first().click()
      await settle.getByRole('button', { name: 'Settle it' }).click()
      await page.getByTestId('others').waitFor()
      await page.keyboard.press('a')
      await look('verdict-settling')
      const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/feedback'))
      await verdict.getByRole('button', { name: 'Send the verdict' }).click()
      const word = (await sent).postDataJSON()
      assert.deepEqual([word.verdict, word.adjudicates.length], ['agree', 1])
      await page.getByTestId('own').filter({ hasText: 'agree' }).waitFor()
      await page.getByTestId('others').filter({ hasText: 'settled by another word' }).waitFor()
      await settle.waitFor({ state: 'detached' })
      await show.selectOption('')
      await page.locator('a.scan[aria-current]').filter({ hasText: 'Agreed' }).waitFor()
    },
  }
}
