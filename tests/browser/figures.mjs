import assert from 'node:assert/strict'
import { plotOf, share } from './plots.mjs'

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

  /** The answer that the page gets at an address when it is loaded again. */
  async function answered(path) {
    const answer = page.waitForResponse((one) => path.test(new URL(one.url()).pathname) && one.ok()).then((one) => one.json())
    const [told] = await Promise.all([answer, page.reload()])
    return told
  }

  async function onPhone(name, heading) {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.reload()
    await page.getByRole('heading', { name: heading, exact: true, level: 1 }).waitFor()
    await fits(name)
    await look(`phone-${name}`)
    await page.setViewportSize({ width: 1440, height: 900 })
  }

  return {
    async 'quality says what share was reviewed, and its address what is asked for'() {
      const reviewedShare = page.getByTestId('share-reviewed')
      const groups = page.getByTestId('quality-group')
      await page.goto(`${url}#/`)
      await page.getByRole('link', { name: 'Quality' }).click()
      await page.getByRole('heading', { name: 'Quality', exact: true }).waitFor()
      const reviewed = async () => /^Readers have judged [1-9]\d* of \d+ scans \(\d+\.\d %\)/.test(await reviewedShare.innerText())
      await until(reviewed, 'a scan that was judged counts as reviewed')
      await groups.first().waitFor()
      assert.match(await groups.first().innerText(), /\d+ of \d+/)
      assert.ok((await page.getByTestId('remarks').locator('li').count()) >= 3, 'the document’s own remarks are shown')
      // The story has sent a file that is no image.
      const refused = page.getByTestId('refused').filter({ hasText: 'No image' })
      await until(async () => (await refused.count()) === 1, 'a file that was refused at the door is counted')
      await look('quality')

      const answer = await answered(/^\/v1\/quality$/)
      const agreeing = answer.groups.filter(({ agree }) => agree.of > 0)
      const plot = await plotOf(page, 'Scans whose readers agree with the answer')
      const figured = agreeing.map(({ name, agree: { rate, low, high } }) => [name, share(rate), share(low), share(high)])
      assert.deepEqual(await plot.table(), figured)
      assert.deepEqual(
        await plot.pointed(figured.length),
        figured.map(([name, value, low, high]) => `${name}: Value ${value}, 95 % interval from ${low}, 95 % interval to ${high}`),
      )
      await plot.intervalsAre(agreeing.map(({ agree: { rate: value, low, high } }) => ({ value, low, high })))
      await look('quality-plots')

      await page.getByLabel('Group by').selectOption('week')
      await page.waitForURL(/#\/quality\?by=week$/)
      await groups.filter({ hasText: /\d{4}-W\d{2}/ }).first().waitFor()
      await page.locator('section.page').getByLabel('To (that day, too)').fill('2001-01-31')
      await page.waitForURL(/#\/quality\?by=week&to=2001-01-31$/)
      await reviewedShare.filter({ hasText: 'No scan was answered in this time' }).waitFor()
      await page.reload()
      await reviewedShare.filter({ hasText: 'No scan was answered in this time' }).waitFor()
      assert.equal(await page.getByLabel('Group by').inputValue(), 'week')
      await page.goBack()
      await groups.first().waitFor()
      await onPhone('quality', 'Quality')
    },

    async 'a report of drift is made of a period, says what it concludes, and is found again at its address'() {
      const report = page.getByTestId('drift-report')
      await page.getByRole('link', { name: 'Drift' }).click()
      await page.getByRole('heading', { name: 'Drift', exact: true }).waitFor()
      await page.locator('section.page').getByLabel('From (day').fill('2001-01-01')
      await page.waitForURL(/#\/drift\?from=2001-01-01$/)
      await look('drift')
      await page.getByRole('button', { name: 'Make a report' }).click()
      await page.waitForURL(/#\/drift\/[0-9a-f]{32}$/)
      await report.getByRole('heading', { name: VERDICT }).waitFor()
      const features = page.getByTestId('drift-feature')
      await features.filter({ hasText: 'Sharpness' }).getByRole('link').click()
      await page.waitForURL(/feature=sharpness$/)
      const answer = await answered(/^\/v1\/drift\/reports\/[0-9a-f]{32}$/)
      await report.getByRole('heading', { name: 'Sharpness' }).waitFor()
      assert.equal(await report.getByRole('img', { name: /^Histogram of sharpness/ }).count(), 1)
      const { reference, window, below, above } = answer.features.find(({ name }) => name === 'sharpness').histogram
      const [training, period] = [[0, ...reference, 0], [below, ...window, above]]
      const plot = await plotOf(page, 'Sharpness')
      const table = await plot.table()
      assert.deepEqual(
        table.map(([, ...shares]) => shares),
        training.map((part, bin) => [share(part), share(period[bin])]),
      )
      assert.deepEqual(
        await plot.pointed(table.length),
        table.map(([bin, before, now]) => `${bin}: Training ${before}, This period ${now}`),
      )
      await plot.barsAre(training, period)
      await look('drift-report')
      await onPhone('drift', 'Drift')
      await page.getByRole('link', { name: 'All reports' }).click()
      await page.getByRole('heading', { name: 'Reports', exact: true }).waitFor()
      await page.getByRole('heading', { name: 'Windows', exact: true }).waitFor()
      assert.equal(await page.getByRole('main').getByRole('listitem').count(), 1)
      await page.goto(`${url}#/drift/${'0'.repeat(32)}`)
      await page.getByRole('alert').waitFor()
    },

    async 'versions of models are compared by what they answer, their figures and their cards'() {
      await page.goto(`${url}#/models`)
      // All that was asked for before has come.
      await page.getByRole('article').first().waitFor()
      const { versions } = await answered(/^\/v1\/models$/)
      const { name, version, modalities, evaluation } = versions.find(({ state }) => state === 'serving')
      const compared = page.getByRole('checkbox', { name: `Compare ${name}/${version}`, exact: true })
      const shown = page.getByRole('article', { name: `${name}/${version}`, exact: true })
      await shown.waitFor()
      assert.ok(await compared.isChecked(), 'the newest are compared before anybody chooses')
      const told = await shown.innerText()
      assert.ok(told.includes(`serving, made for ${modalities.join(', ')}`), told)
      if (evaluation?.failure === null) assert.ok(told.includes(evaluation.gate_set), told)
      await shown.getByRole('button', { name: 'Show its card' }).click()
      await shown.getByText(`# ${name} ${version}`).waitFor()
      await look('models')
      await compared.uncheck()
      await shown.waitFor({ state: 'detached' })
      await onPhone('models', 'Models')
    },

    async 'a patient who has a link is heard without an account and without a script, in either language'() {
      await page.goto(`${url}#/report`)
      await page.getByRole('button', { name: 'Make a link' }).click()
      const link = await page.getByTestId('patient-link').innerText()
      assert.match(new URL(link).pathname, /^\/tell\/[0-9a-f]{64}$/)
      await look('patient-link')
      const browser = page.context().browser()
      const [plain, seen] = await Promise.all([{ javaScriptEnabled: false, locale: 'fr-CM' }, { locale: 'en-GB' }].map((options) => browser.newContext(options)))
      const patient = await plain.newPage()
      await patient.goto(link)
      await patient.getByRole('heading', { name: 'Dites-nous ce qui n’a pas été' }).waitFor()
      await patient.getByRole('link', { name: 'English' }).click()
      await patient.getByLabel('What happened?').fill('CANARY-11: they showed me another head')
      await patient.getByRole('button', { name: 'Send' }).click()
      await patient.getByText('Your words have reached the hospital.').waitFor()
      assert.deepEqual(await plain.cookies(), [])
      const door = await seen.newPage()
      await door.setViewportSize({ width: 360, height: 740 })
      for (const [name, address] of [['', link], ['-gone', link.replace(/.{8}$/, '00000000')]]) {
        await door.goto(address)
        await door.getByLabel('What happened?').fill('twice')
        await look(`tell${name}`, door)
      }
      await door.getByRole('button', { name: 'Send' }).click()
      await door.getByRole('alert').filter({ hasText: 'Ask the hospital for another' }).waitFor()
      assert.equal(await door.getByLabel('What happened?').inputValue(), 'twice', 'what was written stays')
      await look('tell-refused', door)
      page.once('dialog', (dialog) => void dialog.accept())
      await page.getByTestId('patient-links').getByRole('button', { name: 'Revoke' }).first().click()
      await page.getByTestId('patient-link').waitFor({ state: 'detached' })
      await door.goto(link)
      await door.getByLabel('What happened?').fill('after it was revoked')
      await door.getByRole('button', { name: 'Send' }).click()
      await door.getByRole('alert').filter({ hasText: 'Ask the hospital for another' }).waitFor()
      await Promise.all([plain.close(), seen.close()])
      await page.getByRole('link', { name: 'Administration' }).click()
      await page.getByTestId('incidents').getByText('CANARY-11').waitFor()
      await page.getByTestId('incidents').getByText('through which a patient wrote this').waitFor()
    },

    async 'a program’s account is confined to sections, and ends on a day'() {
      const clients = page.getByTestId('clients')
      await page.goto(`${url}#/administration`)
      await page.getByLabel('Name', { exact: true }).fill('the archive')
      const sections = page.getByRole('group', { name: 'Only these sections' })
      await sections.getByLabel('Scans').check()
      await sections.getByLabel('Results').check()
      await page.getByLabel('Last day', { exact: true }).fill('2031-05-01')
      await look('program')
      await page.getByRole('button', { name: 'Make an account' }).click()
      await page.getByTestId('secret').waitFor()
      const row = clients.getByRole('listitem').filter({ hasText: 'the archive' })
      assert.match(await row.innerText(), /Only Scans, Results .* Expires /)
      assert.match(await row.innerText(), /2031/)
      await row.getByLabel('Last day of the archive').fill('2032-06-02')
      await row.getByLabel('Last day of the archive').press('Enter')
      await row.filter({ hasText: '2032' }).waitFor()
      page.once('dialog', (dialog) => dialog.accept())
      await row.getByRole('button', { name: 'Delete' }).click()
      await row.waitFor({ state: 'detached' })
    },

    async 'an administrator resets the second factor that somebody has lost, and says why'() {
      await page.goto(`${url}#/administration`)
      await page.getByLabel('User name', { exact: true }).fill('lost-telephone')
      await page.getByRole('button', { name: 'Make an invitation' }).click()
      const row = page.getByTestId('users').getByRole('listitem').filter({ hasText: 'lost-telephone' })
      await row.getByRole('button', { name: 'Reset the second factor' }).click()
      const take = row.getByRole('button', { name: 'Take the second factor away' })
      assert.ok(await take.isDisabled(), 'a reason is needed')
      const why = 'le téléphone est perdu'
      await row.getByLabel('Why the second factor').fill(why)
      await look('lost-factor')
      const [asked] = await Promise.all([page.waitForRequest((one) => one.method() === 'DELETE'), take.click()])
      assert.equal(decodeURIComponent(asked.headers()['medseg-reason']), why)
      // Whoever is only invited has none.
      await page.getByRole('alert').filter({ hasText: 'no second factor' }).waitFor()
      page.once('dialog', (dialog) => dialog.accept())
      await row.getByRole('button', { name: 'Delete' }).click()
      await row.waitFor({ state: 'detached' })
    },

    async 'the audit trail is saved as it is shown, whatever is typed meanwhile'() {
      await page.goto(`${url}#/administration`)
      const trail = page.getByRole('region', { name: 'Audit trail' })
      await trail.getByLabel('What was done').fill('scan.accepted')
      await trail.getByRole('button', { name: 'Show', exact: true }).click()
      await page.getByTestId('audit').waitFor()
      await trail.getByLabel('What was done').fill('scan.deleted')
      const saved = page.waitForRequest((one) => new URL(one.url()).pathname.endsWith('/v1/audit.csv'))
      const [asked] = await Promise.all([saved, trail.getByRole('button', { name: 'CSV' }).click()])
      assert.equal(new URL(asked.url()).searchParams.get('action'), 'scan.accepted')
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
