import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { gunzipSync, gzipSync } from 'node:zlib'
import { signedIn } from './session.mjs'

// As a hospital's file is called.
const FILE_NAME = 'DOE^JANE_19700101.nii'
/** How long the file travels where the line is slow. */
const TRAVELS_S = 12
/** A volume has many slices to predict. */
const ANALYSIS_MS = 120_000
/** What the page sends in one request is smaller. */
const IN_PARTS_BYTES = 1024 * 1024

/** A line to `url` that may be slow, or lost: to which address, and how to make it so. */
async function lineTo(url) {
  const { hostname, port } = new URL(url)
  const open = new Set()
  let bytesPerSecond = Infinity
  let lost = false
  const listener = createServer((near) => {
    if (lost) return near.destroy()
    const far = connect(Number(port), hostname)
    for (const end of [near, far]) {
      open.add(end)
      end.on('close', () => open.delete(end) && (near.destroy(), far.destroy()))
      end.on('error', () => end.destroy())
    }
    far.pipe(near)
    near.on('data', (piece) => {
      far.write(piece)
      if (bytesPerSecond === Infinity) return
      near.pause()
      setTimeout(() => near.resume(), (1000 * piece.length) / bytesPerSecond)
    })
    near.on('end', () => far.end())
  })
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${listener.address().port}/`,
    slow: (rate) => (bytesPerSecond = rate),
    lose() {
      lost = true
      open.forEach((end) => end.destroy())
    },
    mend: () => (lost = false),
    close() {
      open.forEach((end) => end.destroy())
      listener.close()
    },
  }
}

/** The part of the story in which the line is lost, and the page is closed, while a volume travels. Told on a page of its own. */
export function interrupted({ context, url, user, password, volume, look }) {
  const file = { name: FILE_NAME, mimeType: 'application/octet-stream', buffer: gunzipSync(readFileSync(volume)) }
  // What travels is compressed, as small as the browser makes it.
  const travelling = gzipSync(file.buffer).length
  assert.ok(travelling > 2 * IN_PARTS_BYTES, 'the volume is too small to be sent in parts')
  const asked = []
  let page, line, travels, scansBefore

  function send() {
    return page.getByTestId('files').setInputFiles([file])
  }

  async function scans() {
    const headers = await signedIn(url, user, password)
    const answer = await fetch(new URL('v1/scans?limit=200', url), { headers })
    return (await answer.json()).scans
  }

  /** Where the last request that brought bytes began. */
  async function began() {
    const bringing = asked.filter((request) => request.method() === 'PATCH')
    return Number((await bringing.at(-1).allHeaders())['upload-offset'])
  }

  return {
    async 'an upload whose line is lost goes on by itself where it was'() {
      scansBefore = (await scans()).length
      line = await lineTo(url)
      page = await context.newPage()
      page.on('request', (request) => asked.push(request))
      await page.goto(line.url)
      await page.getByLabel('User name').fill(user)
      await page.getByLabel('Password').fill(password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('heading', { name: 'New scan' }).waitFor()
      travels = page.getByText(/^Sending, [1-9]\d? %/)
      line.slow(travelling / TRAVELS_S)
      await send()
      await travels.waitFor()
      line.lose()
      await page.getByText('No connection; goes on by itself').waitFor()
      await look('upload-interrupted', page)
      line.mend()
      await travels.waitFor()
    },

    async 'an upload is paused, and goes on when its reader does'() {
      await page.getByRole('button', { name: 'Pause' }).click()
      await page.getByText(/^Paused at \d+ %/).waitFor()
      await look('upload-paused', page)
      await page.getByRole('button', { name: 'Go on' }).click()
      await travels.waitFor()
    },

    async 'a page that is closed meanwhile goes on where it was when the same file is chosen again, and it is one scan'() {
      await page.reload()
      await page.getByTestId('left').filter({ hasText: 'One upload was interrupted' }).waitFor()
      await look('upload-left', page)
      const remembered = await page.evaluate(() => JSON.stringify(Object.entries(localStorage)))
      assert.ok(!remembered.includes('DOE'), 'no name of a file is remembered')
      line.slow(Infinity)
      const before = asked.length
      await send()
      await page.getByTestId('answer').filter({ hasText: 'Tumour region found' }).waitFor({ timeout: ANALYSIS_MS })
      assert.ok((await began()) > 0, 'it was sent from its beginning again')
      const begunAgain = asked.slice(before).filter((request) => request.method() === 'POST' && request.url().includes('/v1/uploads'))
      assert.equal(begunAgain.length, 0, 'it was begun again')
      assert.ok(!(await page.evaluate(() => Object.keys(localStorage).some((key) => key.startsWith('tus::')))), 'it is still remembered')
      const [latest, ...others] = await scans()
      assert.equal(others.length, scansBefore)
      const begun = asked.find((request) => request.method() === 'POST' && request.url().includes('/v1/uploads'))
      const length = Number((await begun.allHeaders())['upload-length'])
      assert.ok(length < 0.9 * file.buffer.length, `${length} bytes travelled of ${file.buffer.length}`)
      // The reading room's scan is of the same volume, and was sent in another way.
      const same = others.filter(({ volume_sha256 }) => volume_sha256 === latest.volume_sha256)
      assert.ok(same.length > 0, 'what came is, voxel for voxel, what was chosen')
      await page.close()
      line.close()
    },
  }
}
