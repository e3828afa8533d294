import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { signedIn } from './session.mjs'

// As a hospital's file is called.
const FILE_NAME = 'DOE^JANE_19700101.nii'
/** How long the file travels where the line is slow. */
const TRAVELS_S = 12
/** A volume has many slices to predict. */
const ANALYSIS_MS = 120_000
/** What the page sends in one request is smaller. */
const IN_PARTS_BYTES = 1024 * 1024

/** The part of the story in which the line is lost and the page is closed while a volume travels. */
export function interrupted({ page, url, user, password, volume, send, look }) {
  const file = { name: FILE_NAME, mimeType: 'application/octet-stream', buffer: gunzipSync(readFileSync(volume)) }
  assert.ok(file.buffer.length > IN_PARTS_BYTES, 'the volume is too small to be sent in parts')
  const travels = page.getByText(/^Sending, [1-9]\d? %/)
  const asked = []
  page.on('request', (request) => asked.push(request))
  let scansBefore = 0

  /** The browser's line: so many bytes a second, or none at all. */
  async function line({ bytesPerSecond = -1, lost = false }) {
    const devtools = await page.context().newCDPSession(page)
    const limits = { latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond }
    await devtools.send('Network.enable')
    await devtools.send('Network.emulateNetworkConditions', { offline: lost, ...limits })
    return devtools
  }

  async function scans() {
    const headers = await signedIn(url, user, password)
    const answer = await fetch(new URL('v1/scans?limit=200', url), { headers })
    return (await answer.json()).scans.length
  }

  /** Where the last request that brought bytes began. */
  async function began() {
    const bringing = asked.filter((request) => request.method() === 'PATCH')
    return Number((await bringing.at(-1).allHeaders())['upload-offset'])
  }

  let devtools

  return {
    async 'an upload whose line is lost goes on by itself where it was'() {
      scansBefore = await scans()
      await page.goto(`${url}#/new`)
      await page.getByRole('heading', { name: 'New scan' }).waitFor()
      devtools = await line({ bytesPerSecond: file.buffer.length / TRAVELS_S })
      await send(file)
      await travels.waitFor()
      await devtools.send('Network.emulateNetworkConditions', { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 })
      await page.getByText('No connection; goes on by itself').waitFor()
      await look('upload-interrupted')
      await devtools.detach()
      devtools = await line({ bytesPerSecond: file.buffer.length / TRAVELS_S })
      await travels.waitFor()
    },

    async 'an upload is paused, and goes on when its reader does'() {
      await page.getByRole('button', { name: 'Pause' }).click()
      await page.getByText(/^Paused at \d+ %/).waitFor()
      await look('upload-paused')
      await page.getByRole('button', { name: 'Go on' }).click()
      await travels.waitFor()
    },

    async 'a page that is closed meanwhile goes on where it was when the same file is chosen again, and it is one scan'() {
      await page.reload()
      await page.getByTestId('left').filter({ hasText: 'One upload was interrupted' }).waitFor()
      await look('upload-left')
      const remembered = await page.evaluate(() => JSON.stringify(Object.entries(localStorage)))
      assert.ok(!remembered.includes('DOE'), 'no name of a file is remembered')
      await devtools.detach()
      const before = asked.length
      await send(file)
      await page.getByTestId('answer').filter({ hasText: 'Tumour region found' }).waitFor({ timeout: ANALYSIS_MS })
      assert.ok((await began()) > 0, 'it was sent from its beginning again')
      assert.ok(!asked.slice(before).some((request) => request.method() === 'POST' && request.url().includes('/v1/uploads')), 'it was begun again')
      assert.ok(!(await page.evaluate(() => Object.keys(localStorage).some((key) => key.startsWith('tus::')))), 'it is still remembered')
      assert.equal(await scans(), scansBefore + 1)
    },
  }
}
