import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { studyOf } from './study.mjs'

/** A volume has many slices to predict. */
const ANALYSIS_MS = 120_000

/** The part of the story in which a whole study comes, and one of its series is only kept. */
export function series({ page, url, volume, send, look }) {
  return {
    async 'of a study it is said why a series was analysed and another was not, which is then analysed as well'() {
      await page.goto(`${url}#/`)
      await send({ name: 'study.zip', mimeType: 'application/zip', buffer: studyOf(readFileSync(volume)) })
      const holds = page.getByTestId('holds')
      await page.getByRole('heading', { name: '2 scans found' }).waitFor()
      await holds.getByText(/^one series, Phantom, axial, FLAIR-like, .*24 slices$/).waitFor()
      await holds.getByText(/^one series, localizer, .*24 slices$/).waitFor()
      await page.getByText('A zip is sent as a whole').waitFor()
      await look('found-zip')
      await page.getByRole('button', { name: 'Send 2 scans' }).click()
      const [fitting, localiser] = [0, 1].map((place) => page.getByTestId('became').getByRole('listitem').nth(place))
      await fitting.getByText('Analysed as it came').waitFor()
      await localiser.getByText('it is a localiser').waitFor()
      await look('study')

      // What no model has seen can be looked at all the same.
      await localiser.getByRole('link').click()
      await page.getByTestId('answer').filter({ hasText: 'Not analysable' }).waitFor()
      await page.getByTestId('slice-number').filter({ hasText: /of 24$/ }).waitFor()
      await page.locator('[data-testid=slice][data-ready=true]').waitFor()
      await page.goBack()

      const analyse = localiser.getByRole('button', { name: /^Analyse this one too/ })
      const asked = page.waitForResponse((response) => response.url().endsWith('/retry'))
      await analyse.click()
      assert.equal((await asked).status(), 202)
      await localiser.getByText('somebody has it analysed').waitFor()
      await analyse.waitFor({ state: 'detached' })

      await fitting.getByRole('link').click()
      await page.getByTestId('answer').getByText('Analysed as it came').waitFor({ timeout: ANALYSIS_MS })
      await page.getByTestId('series').getByText('it is a localiser').waitFor()
      await look('study-scan')
    },

    async 'a rule about series is set in the administration, says by whom, and is taken back'() {
      await page.goto(`${url}#/administration`)
      const rules = page.getByTestId('series-rules')
      await page.getByLabel('The description contains').fill('after contrast')
      await page.getByLabel('Such series').selectOption('never')
      await page.getByRole('button', { name: 'Add the rule' }).click()
      const rule = rules.getByRole('listitem').filter({ hasText: 'after contrast' })
      await rule.getByText('are left out').waitFor()
      await look('series-rule')
      await rule.getByRole('button', { name: /^Take back/ }).click()
      await rule.waitFor({ state: 'detached' })
    },
  }
}
