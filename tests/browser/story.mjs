/**
 * A clinician's story, told to a running medseg in headless Chromium:
 * `node story.mjs URL USER PASSWORD PHANTOM.png VOLUME.nii.gz [FOLDER]`. Both must be phantoms in which a tumour is found.
 *
 * Exits 1 at the first claim that does not hold; pictures of the states, and of the failure, go to FOLDER, and those that
 * the manual has to the folder MANUAL_PICTURES.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { accessible } from './accessible.mjs'
import { launched } from './browser.mjs'
import { draftsOn } from './drawing.mjs'
import { comparing } from './comparing.mjs'
import { header } from './dicom.mjs'
import { figures } from './figures.mjs'
import { manualOf } from './manual.mjs'
import { pages } from './pages.mjs'
import { onPhone } from './phone.mjs'
import { phantom, BOX, OUTLINE } from './phantom.mjs'
import { pixelsOf } from './pixels.mjs'
import { readingRoom } from './reading.mjs'
import { series } from './series.mjs'
import { signedIn } from './session.mjs'
import { tabs } from './tabs.mjs'
import { interrupted } from './uploads.mjs'
import { worklist } from './worklist.mjs'

const [, , url, user, password, image, volume, folder] = process.argv
if (!volume) {
  console.error('usage: node story.mjs URL USER PASSWORD PHANTOM.png VOLUME.nii.gz [FOLDER]')
  process.exit(2)
}

const PATIENCE_MS = 60_000
// A name as a hospital's files have them: it must never be seen, nor sent.
const FILE_NAME = 'DOE^JANE_19700101.png'

const browser = await launched()
const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } })
const page = await context.newPage()
page.setDefaultTimeout(PATIENCE_MS)
await page.clock.install()

const faults = []
const requests = []
page.on('pageerror', (error) => faults.push(`error on the page: ${error}`))
page.on('console', (message) => {
  const words = message.text()
  // The browser notes each refused request; those are part of the story.
  if (message.type() === 'error' && !words.startsWith('Failed to load resource')) faults.push(words)
})
page.on('request', (request) => requests.push(request))

const manual = manualOf(page, process.env.MANUAL_PICTURES)
let states = 0

async function look(name, on = page) {
  states += 1
  if (folder) await on.screenshot({ path: join(folder, `${String(states).padStart(2, '0')}-${name}.png`), fullPage: true })
  await manual.show(name, on)
  if (await on.locator('#app').count()) assert.equal(await inSight(on), 1, `the state ${name} says that it is for research only`)
  await accessible(name, on)
}

/** How often it is said, where one need not scroll, what the page is not for. */
function inSight(on) {
  return on.getByTestId('research').evaluateAll((all) => {
    const boxes = all.map((one) => one.getBoundingClientRect())
    return boxes.filter(({ top, bottom, width }) => width > 0 && top >= 0 && bottom <= innerHeight).length
  })
}

async function fits(name) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(over <= 0, `${name} is ${over} pixels wider than a phone`)
}

function send(...files) {
  return page.getByTestId('files').setInputFiles(files)
}

async function signIn(secret) {
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(secret)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

const inTabs = tabs({ context, page, url, password, look })

const claims = {
  async 'a wrong password is said to be wrong'() {
    await page.goto(url)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await look('sign-in')
    await signIn(`${password}?`)
    await page.getByRole('alert').filter({ hasText: 'wrong' }).waitFor()
    await look('wrong-password')
  },

  async 'the right one opens the place for new scans'() {
    await signIn(password)
    await page.getByRole('heading', { name: 'New scan' }).waitFor()
    await look('new-scan')
  },

  async 'what is no image is refused in words, without its name'() {
    await send({ name: 'ROE^RICHARD.txt', mimeType: 'text/plain', buffer: Buffer.from('no image at all, only words') })
    const refusal = page.getByRole('alert')
    await refusal.getByRole('heading', { name: 'This is not an image' }).waitFor()
    assert.match(await refusal.innerText(), /Send a .*DICOM/, 'it says what to do')
    assert.ok(!(await page.content()).includes('ROE^RICHARD'), 'the file’s name is hidden until asked for')
    await look('refused')
    await page.getByRole('button', { name: 'Show the file’s name' }).click()
    await page.getByText('ROE^RICHARD.txt').waitFor()
  },

  async 'a thumbnail is refused with its size'() {
    await send({ name: 'small.png', mimeType: 'image/png', buffer: phantom({ size: 32 }).image })
    const refusal = page.getByRole('alert')
    await refusal.getByRole('heading', { name: 'The image is too small' }).waitFor()
    assert.match(await refusal.innerText(), /32 x 32/)
  },

  async 'several files are called what they are before they are sent'() {
    const slice = (name) => ({ name, mimeType: 'image/png', buffer: readFileSync(image) })
    await send(slice('DOE_1.png'), slice('DOE_2.png'), slice('DOE_1_mask.png'), { ...slice('a.txt'), buffer: Buffer.from('words') })
    await page.getByRole('heading', { name: 'One scan found' }).waitFor()
    await page.getByText('one series, PNG, 2 slices').waitFor()
    await page.getByText('Not sent: 1 mask beside its image, 1 file that is no image.').waitFor()
    assert.ok(!(await page.content()).includes('DOE_1'), 'the files’ names are hidden until asked for')
    await look('found-scans')
    await page.getByRole('button', { name: 'Do not send' }).click()
    await page.getByRole('heading', { name: 'One scan found' }).waitFor({ state: 'detached' })
  },

  async 'DICOM files are grouped by series before they are sent, and called what their scanner calls them'() {
    const axial = { series: '2.25.2', description: 'FLAIR', orientation: '1\\0\\0\\0\\1\\0' }
    const sagittal = { series: '2.25.3', description: 'T1 après', orientation: '0\\1\\0\\0\\0\\-1' }
    const files = [...Array(24).fill(axial), ...Array(3).fill(sagittal)]
    await send(...files.map((of, number) => ({ name: `IM${number}`, mimeType: 'application/octet-stream', buffer: header(of) })))
    await page.getByRole('heading', { name: '2 scans found' }).waitFor()
    await page.getByText('one series, FLAIR, axial, 24 slices').waitFor()
    await page.getByText('one series, T1 après, sagittal, 3 slices').waitFor()
    await look('found-series')
    await page.getByRole('button', { name: 'Do not send' }).click()
  },

  async 'of several scans the reader chooses those that are sent'() {
    const picture = (name) => ({ name, mimeType: 'image/png', buffer: readFileSync(image) })
    await send(picture('DOE.png'), picture('ROE.png'))
    await page.getByRole('heading', { name: '2 scans found' }).waitFor()
    await page.getByRole('button', { name: 'Send 2 scans' }).waitFor()
    await page.getByRole('list', { name: 'Which of them are sent' }).getByRole('checkbox').last().uncheck()
    await page.getByRole('button', { name: 'Send this scan' }).waitFor()
    await look('found-several')
    await page.getByRole('list', { name: 'Which of them are sent' }).getByRole('checkbox').first().uncheck()
    assert.equal(await page.getByRole('button', { name: /^Send / }).count(), 0, 'nothing is chosen, and could be sent')
    await page.getByRole('button', { name: 'Do not send' }).click()
  },

  async 'a scan is sent, followed by events and answered'() {
    await page.getByText('Say whose scan it is').click()
    await page.getByLabel('Patient ID').fill(' 4711 ')
    await page.getByLabel('Your reference').fill('order 7')
    await look('about')
    const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().includes('/v1/scans'))
    const followed = page.waitForResponse((response) => response.url().endsWith('/events'))
    await send({ name: FILE_NAME, mimeType: 'image/png', buffer: readFileSync(image) })
    const headers = await (await sent).allHeaders()
    assert.match(headers['idempotency-key'], /^[0-9a-f]{32}$/)
    const said = new URL((await sent).url()).searchParams
    assert.deepEqual([said.get('patient_id'), said.get('reference'), said.has('accession_number')], ['4711', 'order 7', false])
    assert.ok(!JSON.stringify(headers).includes('DOE'), 'the file’s name stays with the browser')
    assert.equal((await followed).status(), 200)
    await page.getByTestId('answer').filter({ hasText: 'Tumour region found' }).waitFor()
  },

  async 'size, model and doubt stand beside the image'() {
    assert.match(await page.getByTestId('size').innerText(), /[1-9]\d*\s*(pixels|mm²|mL)/)
    assert.match(await page.getByTestId('in-words').innerText(), /at its longest and .* across/)
    assert.match(await page.getByTestId('model').innerText(), /\w+ \w+/)
    assert.match(await page.getByTestId('fit').innerText(), /by [01]\.\d\d .* between \d\.\d\d and \d\.\d\d/)
    await page.getByText('not a diagnosis').waitFor()
    assert.ok(!(await page.content()).includes('DOE'))
  },

  async 'outline and box are drawn over the slice, and go with a switch'() {
    const count = async (colour) => pixelsOf(page, await page.getByTestId('slice').screenshot(), colour)
    await page.locator('[data-testid=slice][data-ready=true]').waitFor()
    await page.locator('path.main').waitFor()
    assert.ok((await count(OUTLINE)) > 100, 'an outline is seen')
    assert.ok((await count(BOX)) > 100, 'a box is seen')
    await look('found')
    await page.getByLabel('Outline and box').uncheck()
    assert.equal(await count(OUTLINE), 0)
    assert.equal(await count(BOX), 0)
  },

  async 'the keyboard brings the outline back and shows the diameters'() {
    await page.keyboard.press('o')
    await page.locator('path.main').waitFor()
    await page.keyboard.press('d')
    assert.ok((await page.getByTestId('diameter').count()) >= 2)
  },

  async 'mask, overlay and result can be saved'() {
    for (const name of ['mask.png', 'overlay.png', 'result.json']) {
      const saved = page.waitForEvent('download')
      await page.getByRole('link', { name }).click()
      const download = await saved
      assert.match(download.suggestedFilename(), new RegExp(`^scan-[0-9a-f]{6}-${name}$`))
      const start = readFileSync(await download.path()).subarray(0, 4).toString('latin1')
      assert.match(start, name.endsWith('json') ? /^\{/ : /^.PNG/)
    }
  },

  async 'a report is saved in either language, and says in sentences to copy what it is not'() {
    for (const [language, tag] of [['English', 'en'], ['Français', 'fr']]) {
      await page.getByLabel('Language of the report').selectOption({ label: language })
      const saved = page.waitForEvent('download')
      const asked = page.waitForRequest((request) => request.url().includes('/report.pdf'))
      await page.getByRole('button', { name: 'Report (PDF)' }).click()
      const download = await saved
      assert.match(download.suggestedFilename(), /^scan-[0-9a-f]{6}-report\.pdf$/)
      assert.equal(readFileSync(await download.path()).subarray(0, 5).toString('latin1'), '%PDF-')
      const query = new URL((await asked).url()).searchParams
      assert.deepEqual([query.get('lang'), query.get('identity')], [tag, 'true'])
    }
    const sentences = await page.getByTestId('in-sentences').innerText()
    assert.match(sentences, /^Tumour region found\. .* For research use, not for diagnosis\.$/)
    await page.emulateMedia({ media: 'print' })
    assert.ok(await page.getByTestId('answer').isVisible())
    assert.ok(await page.getByText('For research use, not for diagnosis', { exact: false }).first().isVisible())
    assert.match(await page.getByTestId('signed').innerText(), /has not judged the scan[^]*Name[^]*Signature[^]*Date/)
    for (const pressed of ['Report (PDF)', 'Sign out']) {
      assert.equal(await page.getByRole('button', { name: pressed }).count(), 0, `${pressed} is not printed`)
    }
    if (folder) await page.screenshot({ path: join(folder, 'printed.png'), fullPage: true })
    await page.emulateMedia({ media: null })
  },

  async 'an urgent scan is sent as urgent, and the next one is not unless asked for'() {
    const urgent = page.getByLabel('Urgent')
    const priorities = []
    await page.goto(`${url}#/`)
    await urgent.check()
    await look('urgent')
    for (let count = 0; count < 2; count++) {
      const sent = page.waitForResponse((response) => response.request().method() === 'POST')
      await send({ name: FILE_NAME, mimeType: 'image/png', buffer: readFileSync(image) })
      priorities.push((await (await sent).json()).priority)
      await page.getByTestId('size').waitFor()
      await page.goto(`${url}#/`)
    }
    assert.deepEqual(priorities, ['stat', 'routine'])
    assert.ok(!(await urgent.isChecked()))
  },

  async 'an upload that breaks off is sent again under the same key, and followed without events'() {
    const keys = []
    await page.route(/\/v1\/scans\?/, (route) => {
      if (route.request().method() !== 'POST') return route.continue()
      keys.push(route.request().headers()['idempotency-key'])
      return keys.length === 1 ? route.abort() : route.continue()
    })
    await page.route('**/events', (route) => route.abort())
    await page.goto(`${url}#/`)
    await send({ name: FILE_NAME, mimeType: 'image/png', buffer: readFileSync(image) })
    await page.getByRole('alert').filter({ hasText: 'No connection' }).waitFor()
    await look('no-connection')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('listitem').getByRole('link', { name: /^(Waiting|Analysing|Found)/ }).first().click()
    await page.getByTestId('size').waitFor()
    assert.equal(keys.length, 2)
    assert.equal(keys[0], keys[1])
    await page.unrouteAll()
  },

  async 'after a reload the scan is among the earlier ones, and opens'() {
    const address = page.url()
    await page.reload()
    await page.getByTestId('size').waitFor()
    await page.goto(url)
    await page.getByRole('heading', { name: 'New scan' }).waitFor()
    const link = page.getByRole('navigation').locator(`a[href="${new URL(address).hash}"]`)
    assert.match(await link.innerText(), /Found/)
    await link.click()
    await page.getByTestId('size').waitFor()
    assert.equal(page.url(), address)
  },

  async 'whose scan it is stands beside it, and stays hidden where it was hidden'() {
    const { authorization } = await signedIn(url, user, password)
    const about = new URL('v1/scans?reference=CANARY-7', url)
    const sent = await fetch(about, { method: 'POST', headers: { authorization }, body: readFileSync(image) })
    const { id } = await sent.json()
    await page.goto(`${url}#/scans/${id}`)
    await page.reload()
    await page.getByTestId('size').waitFor()
    await page.getByTestId('whose').filter({ hasText: 'CANARY-7' }).waitFor()
    await page.getByRole('navigation').getByText('CANARY-7').waitFor()
    await look('whose')

    await page.getByLabel('Hide names').check()
    assert.ok(!(await page.content()).includes('CANARY-7'), 'hidden is gone from the page')
    const before = requests.length
    await page.reload()
    await page.getByTestId('size').waitFor()
    assert.ok(!(await page.content()).includes('CANARY-7'))
    assert.ok(!requests.slice(before).some((request) => request.url().endsWith('/identity')), 'what is hidden is not asked for')
    await look('hidden')
    await page.getByLabel('Hide names').uncheck()
    await page.getByTestId('whose').filter({ hasText: 'CANARY-7' }).waitFor()
    assert.ok(!requests.some((request) => request.url().includes('CANARY')), 'no address names anybody')
  },

  ...readingRoom({ page, url, user, password, volume, send, look, fits }),

  ...comparing({ page, url, user, password, volume, look, fits }),

  ...worklist({ page, url, user, password, image, look, fits }),

  ...series({ page, url, volume, send, look }),

  ...figures({ page, url, look, fits }),

  ...pages({ page, url, user, password, look, fits }),

  ...interrupted({ context, url, user, password, volume, look }),

  async 'the page speaks French to whoever chooses it, and remembers it on the device'() {
    await page.goto(`${url}#/`)
    await page.getByLabel('Language', { exact: true }).selectOption('fr')
    await page.getByRole('heading', { name: 'Nouvel examen' }).waitFor()
    assert.equal(await page.locator('html').getAttribute('lang'), 'fr')
    await look('french-new-scan')
    await page.getByRole('navigation').getByRole('link', { name: /^Trouvé/ }).first().click()
    await page.getByTestId('answer').filter({ hasText: 'Région tumorale trouvée' }).waitFor()
    await page.getByTestId('size').waitFor()
    assert.equal(await page.getByLabel('Langue du compte rendu').inputValue(), 'fr')
    await look('french-found')
    await page.setViewportSize({ width: 360, height: 740 })
    const places = [['', 'Examens'], ['quality', 'Qualité'], ['drift', 'Dérive'], ['models', 'Modèles'], ['deliveries', 'Envois'], ['account', 'Votre compte']]
    for (const [path, name] of [...places, ['administration', 'Administration']]) {
      await page.goto(`${url}#/${path}`)
      await page.getByRole('heading', { name, exact: true }).waitFor()
      await fits(name)
      await look(`french-phone-${path || 'list'}`)
    }
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.reload()
    await page.getByRole('heading', { name: 'Administration', exact: true }).waitFor()
    await page.getByLabel('Langue', { exact: true }).selectOption('en')
    await page.getByRole('button', { name: 'Sign out' }).waitFor()
  },

  async 'the session is renewed before its token ends'() {
    const renewed = page.waitForResponse((response) => response.url().endsWith('/v1/token'))
    await page.clock.fastForward('04:30')
    assert.equal((await renewed).status(), 200)
    assert.match((await renewed).request().postData(), /grant_type=refresh_token/)
    await page.getByRole('link', { name: 'New scan', exact: true }).click()
    await page.getByRole('heading', { name: 'New scan' }).waitFor()
  },

  async 'a scan that does not exist is said not to'() {
    await page.goto(`${url}#/scans/00000000-0000-7000-8000-000000000000`)
    await page.getByRole('alert').filter({ hasText: 'No such scan' }).waitFor()
    await look('no-such-scan')
  },

  async 'the manual opens from the page, in both of its languages'() {
    await page.goto(`${url}#/`)
    for (const [name, language] of [['Manual', 'en'], ['Manuel en français', 'fr']]) {
      await page.getByRole('link', { name, exact: true }).click()
      await page.waitForURL('**/manual/clinicians*')
      await page.getByRole('heading', { level: 1 }).waitFor()
      assert.equal(await page.locator('html').getAttribute('lang'), language)
      await look(`manual-${language}`)
      await page.goBack()
      await page.getByRole('heading', { name: 'New scan' }).waitFor()
    }
  },

  async 'a phone shows all of it without scrolling sideways'() {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.goto(`${url}#/`)
    await page.getByRole('heading', { name: 'Scans', exact: true }).waitFor()
    assert.ok(!(await page.getByRole('heading', { name: 'New scan' }).isVisible()), 'a phone starts with the list')
    await fits('the list')
    await look('phone-list')
    await page.getByRole('link', { name: 'New scan', exact: true }).click()
    await page.getByRole('heading', { name: 'New scan' }).waitFor()
    await fits('the place for new scans')
    await look('phone-new-scan')
    await page.getByRole('link', { name: 'All scans', exact: true }).click()
    await page.getByRole('navigation').getByRole('link', { name: /^Found/ }).first().click()
    await page.getByTestId('size').waitFor()
    await page.locator('[data-testid=slice][data-ready=true]').waitFor()
    await fits('a result')
    await look('phone-found')
  },

  ...onPhone({ browser, url, user, password, image, look }),

  async 'a session that was ended elsewhere asks to sign in again'() {
    const { refresh_token: token } = JSON.parse(await page.evaluate(() => sessionStorage.getItem('medseg.session')))
    await context.request.post(new URL('v1/token/revoke', url).href, { form: { token } })
    await page.clock.fastForward('04:30')
    await page.getByText('The session has ended').waitFor()
    await look('session-ended')
    await signIn(password)
    await page.getByTestId('size').waitFor()
  },

  ...inTabs.shared,

  async 'signing out forgets the session, here and on the server'() {
    const kept = await page.evaluate(() => sessionStorage.getItem('medseg.session'))
    const revoked = page.waitForResponse((response) => response.url().endsWith('/v1/token/revoke'))
    assert.equal(await draftsOn(page), 1, 'what was drawn and not sent is kept until then')
    await page.getByRole('button', { name: 'Sign out' }).click()
    assert.equal((await revoked).status(), 200)
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    assert.equal(await draftsOn(page), 0)
    assert.equal(await page.evaluate(() => sessionStorage.length), 0)
    // The device remembers whether names are hidden, and the language, and nothing of anybody.
    const remembered = await page.evaluate(() => Object.entries(localStorage).sort())
    assert.deepEqual(remembered, [['medseg.hide-names', 'no'], ['medseg.language', 'en']])
    const form = { grant_type: 'refresh_token', refresh_token: JSON.parse(kept).refresh_token }
    assert.equal((await context.request.post(new URL('v1/token', url).href, { form })).status(), 401)
    await page.reload()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
  },

  ...inTabs.ended,

  async 'the page asked nobody else, and nothing went wrong on it'() {
    assert.deepEqual(faults, [])
    const strangers = requests.map((request) => request.url()).filter((asked) => !/^blob:/.test(asked) && !asked.startsWith(url))
    assert.deepEqual(strangers, [])
    manual.complete()
  },
}

if (folder) mkdirSync(folder, { recursive: true })
let claim = ''
try {
  for (const [words, tell] of Object.entries(claims)) {
    claim = words
    await tell()
    console.log(`ok: ${words}`)
  }
} catch (error) {
  console.error(`FAILED: ${claim}\n${error.stack}`)
  if (faults.length > 0) console.error(faults.join('\n'))
  if (folder) await page.screenshot({ path: join(folder, 'failure.png') }).catch(() => undefined)
  process.exitCode = 1
} finally {
  await browser.close()
}
