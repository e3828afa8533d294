/**
 * What a data scientist sees of windows of drift: `node windows.mjs URL USER PASSWORD`, of a medseg that has closed two or more of FLAIR
 * images. Two are compared, and one is opened; each at an address of its own. Exits 1 where the page says other numbers than the API.
 */
import assert from 'node:assert/strict'
import { accessible } from './accessible.mjs'
import { launched } from './browser.mjs'
import { signedIn } from './session.mjs'

const [, , url, user, password] = process.argv
if (!password) {
  console.error('usage: node windows.mjs URL USER PASSWORD')
  process.exit(2)
}

const PATIENCE_MS = 20_000

const browser = await launched()
const page = await (await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } })).newPage()
page.setDefaultTimeout(PATIENCE_MS)
const faults = []
page.on('pageerror', (error) => faults.push(`${error}`))

const rows = page.getByTestId('drift-window')

async function told(path) {
  return (await fetch(new URL(path, url), { headers: await signedIn(url, user, password) })).json()
}

/** What the address asks the page for, by its names. */
function asked() {
  return Object.fromEntries(new URLSearchParams(new URL(page.url()).hash.split('?')[1]))
}

try {
  const { windows } = await told('v1/drift/windows')
  await page.goto(`${url}#/drift`)
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await rows.nth(windows.length - 1).waitFor()
  assert.equal(await rows.count(), windows.length)
  await accessible('windows', page)

  // The newest is listed first.
  const [b, a] = windows.flatMap(({ image_kind: kind }, row) => (kind === 'flair' ? [row] : []))
  await rows.nth(a).getByRole('radio').first().check()
  await rows.nth(b).getByRole('radio').last().check()
  await page.getByRole('button', { name: 'Compare the two' }).click()
  const compared = page.getByTestId('drift-compared')
  await compared.waitFor()
  assert.deepEqual(asked(), { a: windows[a].id, b: windows[b].id })
  await page.reload()
  await compared.waitFor()
  const { features } = await told(`v1/drift/compare?${new URLSearchParams(asked())}`)
  const { psi } = features.find(({ name }) => name === 'mean')
  const mean = compared.getByTestId('drift-feature').filter({ has: page.getByRole('rowheader', { name: 'Mean brightness' }) })
  assert.equal((await mean.locator('td').allInnerTexts())[4], String(Number(psi.toPrecision(3))))
  await compared.getByRole('rowheader', { name: 'Answer' }).waitFor()
  await accessible('two windows beside each other', page)

  await page.getByRole('link', { name: 'All windows' }).click()
  await rows.nth(a).getByRole('link').click()
  const window = page.getByTestId('drift-window-report')
  await window.waitFor()
  assert.deepEqual(asked(), { window: windows[a].id })
  await window.getByRole('link', { name: 'Sharpness' }).click()
  await page.waitForURL(/feature=sharpness$/)
  await page.reload()
  await window.locator('[aria-current=true]').filter({ hasText: 'Sharpness' }).waitFor()
  await accessible('a window', page)
  assert.deepEqual(faults, [])
  console.log(`the page shows ${windows.length} windows, two of them beside each other, and one in full`)
} catch (error) {
  console.error(`FAILED: windows of drift in the page\n${error.stack}\n${faults.join('\n')}`)
  process.exitCode = 1
} finally {
  await browser.close()
}
