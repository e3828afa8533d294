import assert from 'node:assert/strict'

/** How often, and how long between, a figure is asked for again that comes by an event. */
const TRIES = 40
const PAUSE_MS = 250
/** A server that was used before has seen enough to conclude something. */
const VERDICT = /^(Drift|Worth watching|Stable|Too few scans|Nothing to compare with)$/

/** The part of the story that is told on the pages of figures, after a scan was judged. */
export function figures({ page, url, look, fits }) {
  /** Looks again until it holds: what was said a moment ago travels by events. */
  async function until(holds, what) {
    for (let tries = 0; !(await holds()); tries++) {
      assert.ok(tries < TRIES, what)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      await page.reload()
    }
  }

  async function onPhone(name, heading) {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.reload()
    await page.getByRole('heading', { name: heading, exact: true }).waitFor()
    await fits(name)
    await look(`phone-${name}`)
    await page.setViewportSize({ width: 1440, height: 900 })
  }

  return {
    async 'quality says what share was reviewed, and its address what is asked for'() {
      const share = page.getByTestId('share-reviewed')
      const groups = page.getByTestId('quality-group')
      await page.goto(`${url}#/`)
      await page.getByRole('link', { name: 'Quality' }).click()
      await page.getByRole('heading', { name: 'Quality', exact: true }).waitFor()
      const reviewed = async () => /^Readers have judged [1-9]\d* of \d+ scans \(\d+\.\d %\)/.test(await share.innerText())
      await until(reviewed, 'a scan that was judged counts as reviewed')
      await groups.first().waitFor()
      assert.match(await groups.first().innerText(), /\d+ of \d+/)
      assert.ok((await page.getByTestId('remarks').locator('li').count()) >= 3, 'the document’s own remarks are shown')
      await look('quality')

      await page.getByLabel('Group by').selectOption('week')
      await page.waitForURL(/#\/quality\?by=week$/)
      await groups.filter({ hasText: /\d{4}-W\d{2}/ }).first().waitFor()
      await page.getByLabel('To (that day, too)').fill('2001-01-31')
      await page.waitForURL(/#\/quality\?by=week&to=2001-01-31$/)
      await share.filter({ hasText: 'No scan was answered in this time' }).waitFor()
      await page.reload()
      await share.filter({ hasText: 'No scan was answered in this time' }).waitFor()
      assert.equal(await page.getByLabel('Group by').inputValue(), 'week')
      await page.goBack()
      await groups.first().waitFor()
      await onPhone('quality', 'Quality')
    },

    async 'a report of drift is made of a period, says what it concludes, and is found again at its address'() {
      const report = page.getByTestId('drift-report')
      await page.getByRole('link', { name: 'Drift' }).click()
      await page.getByRole('heading', { name: 'Drift', exact: true }).waitFor()
      await page.getByLabel('From (day').fill('2001-01-01')
      await page.waitForURL(/#\/drift\?from=2001-01-01$/)
      await look('drift')
      await page.getByRole('button', { name: 'Make a report' }).click()
      await page.waitForURL(/#\/drift\/[0-9a-f]{32}$/)
      await report.getByRole('heading', { name: VERDICT }).waitFor()
      const features = page.getByTestId('drift-feature')
      await features.filter({ hasText: 'Sharpness' }).getByRole('link').click()
      await page.waitForURL(/feature=sharpness$/)
      await page.reload()
      await report.getByRole('heading', { name: 'Sharpness' }).waitFor()
      assert.equal(await report.getByRole('img', { name: /^Histogram of sharpness/ }).count(), 1)
      await look('drift-report')
      await onPhone('drift', 'Drift')
      await page.getByRole('link', { name: 'All reports' }).click()
      await page.getByRole('heading', { name: 'Reports', exact: true }).waitFor()
      await page.getByRole('heading', { name: 'Windows', exact: true }).waitFor()
      assert.equal(await page.getByRole('main').getByRole('listitem').count(), 1)
      await page.goto(`${url}#/drift/${'0'.repeat(32)}`)
      await page.getByRole('alert').waitFor()
    },

    async 'the hospital’s consent is given and withdrawn, and says by whom'() {
      const consent = page.getByRole('switch', { name: 'Confirmed scans may be learned from' })
      const decided = page.getByTestId('decided')
      await page.goto(`${url}#/report`)
      await page.getByLabel('What went wrong?').fill('CANARY-10: the worklist blinks')
      await page.getByLabel('A patient told me this').check()
      await page.getByRole('button', { name: 'Send the report' }).click()
      await page.getByText('The report is kept.').first().waitFor()
      await page.getByRole('link', { name: 'Administration' }).click()
      await page.getByRole('heading', { name: 'Administration', exact: true }).waitFor()
      await page.getByTestId('incidents').getByText('CANARY-10').waitFor()
      await page.getByTestId('incidents').getByText('a patient’s words').waitFor()
      assert.equal(await consent.getAttribute('aria-checked'), 'false', 'nothing is learned from before somebody says so')
      await look('administration')
      await consent.click()
      await decided.filter({ hasText: 'Decided by' }).waitFor()
      assert.equal(await consent.getAttribute('aria-checked'), 'true')
      await page.reload()
      await decided.filter({ hasText: 'Decided by' }).waitFor()
      assert.equal(await consent.getAttribute('aria-checked'), 'true')
      await look('consent-given')
      await consent.click()
      await page.locator('[role=switch][aria-checked=false]').waitFor()
      await onPhone('administration', 'Administration')
    },
  }
}
