/**
 * A stand-in for the gateway, to look at the page in every state without a model: `node mock.mjs PORT`.
 *
 * Speaks the same routes and documents. What an upload turns into is told by its size in pixels.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { documentOf } from './mock-result.mjs'
import { phantom } from './phantom.mjs'
import { sizeOf } from './png.mjs'

const DIST = join(dirname(fileURLToPath(import.meta.url)), '../../services/gateway/ui/dist')
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' }
const POLICY = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const USER = 'ada'
const PASSWORD = 'correct horse battery'
const STEP_MS = Number(process.env.MOCK_STEP_MS ?? 700)

const scans = new Map()
const tokens = new Set()
const refreshTokens = new Set()
let clock = 0

export function serve(port) {
  seed()
  const server = createServer((request, response) => {
    route(request, response).catch((error) => {
      console.error(error)
      problem(response, 500, 'internal', 'Something broke on our side', 'internal error')
    })
  })
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)))
}

async function route(request, response) {
  const url = new URL(request.url, 'http://mock')
  const [, version, noun, id, what] = url.pathname.split('/')
  if (version !== 'v1') return page(url, response)
  const body = await read(request)
  if (noun === 'token') return id === 'revoke' ? revoke(body, response) : grant(body, response)
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (!tokens.has(bearer)) return problem(response, 401, 'unauthenticated', 'Sign in first', 'the access token is not valid')
  if (noun !== 'scans') return problem(response, 404, 'not-found', 'There is no such thing', 'there is nothing at this address')
  if (!id) return request.method === 'POST' ? accept(request, url, body, response) : list(url, response)
  const scan = scans.get(id)
  if (!scan) return problem(response, 404, 'not-found', 'There is no such thing', 'no such scan')
  if (!what) return json(response, 200, scan.public)
  if (what === 'events') return events(scan, response)
  if (what === 'identity') return json(response, 200, { ...scan.identity, scan_id: id })
  return artefact(scan, what, response)
}

function page(url, response) {
  const path = normalize(url.pathname === '/' ? '/index.html' : url.pathname)
  try {
    const body = readFileSync(join(DIST, path))
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', 'content-security-policy': POLICY })
    response.end(body)
  } catch {
    problem(response, 404, 'not-found', 'There is no such thing', 'there is nothing at this address')
  }
}

function grant(body, response) {
  const form = new URLSearchParams(body.toString())
  if (form.get('grant_type') === 'password') {
    if (form.get('username') !== USER || form.get('password') !== PASSWORD) {
      return problem(response, 401, 'unauthenticated', 'Sign in first', 'the user name or the password is wrong')
    }
  } else if (!refreshTokens.delete(form.get('refresh_token'))) {
    return problem(response, 401, 'unauthenticated', 'Sign in first', 'the session has ended, sign in again')
  }
  const [access_token, refresh_token] = [randomBytes(24).toString('hex'), randomBytes(24).toString('hex')]
  tokens.add(access_token)
  refreshTokens.add(refresh_token)
  json(response, 200, { access_token, token_type: 'Bearer', expires_in: 300, refresh_token })
}

function revoke(body, response) {
  refreshTokens.delete(new URLSearchParams(body.toString()).get('token'))
  response.writeHead(200).end()
}

function list(url, response) {
  const limit = Number(url.searchParams.get('limit') ?? 50)
  const from = Number(url.searchParams.get('cursor') ?? 0)
  const all = [...scans.values()].map((scan) => scan.public).sort((a, b) => b.accepted_ms - a.accepted_ms)
  const next = from + limit < all.length ? String(from + limit) : null
  json(response, 200, { scans: all.slice(from, from + limit), next_cursor: next })
}

function accept(request, url, body, response) {
  const known = [...scans.values()].find((scan) => scan.key && scan.key === request.headers['idempotency-key'])
  if (known) return json(response, 202, { ...known.public, repeated: true })
  const size = sizeOf(body)
  if (!size) {
    const detail = 'The file is in no format that is known here. Send a DICOM, NIfTI, PNG, JPEG, TIFF or WebP file, or a zip of one series.'
    return problem(response, 422, 'not-an-image', 'This is not an image', detail)
  }
  if (Math.min(size.width, size.height) < 64) {
    const detail = `It is ${size.width} x ${size.height} pixels. Send the scan in its original resolution, at least 64 x 64 pixels, not a thumbnail.`
    return problem(response, 422, 'too-small', 'The image is too small', detail)
  }
  const answers = { 256: 'found', 255: 'none_found', 254: 'not_analysable', 253: 'failed' }
  const scan = make({ answer: answers[size.width] ?? 'found', accepted_ms: Date.now(), format: 'png', modality: null, unit: 'px', priority: url.searchParams.get('priority') ?? 'routine', reference: url.searchParams.get('reference') })
  scan.key = request.headers['idempotency-key']
  scan.plain = body
  setTimeout(() => change(scan, { state: 'running', attempt: 1 }), STEP_MS)
  setTimeout(() => change(scan, { state: 'done', answer: scan.answer, reason: scan.reason, completed_ms: Date.now() }), 2 * STEP_MS)
  json(response, 202, scan.public)
}

const REASONS = {
  not_analysable: 'the scan is a CT, and the only model here was trained on MR',
  failed: 'the model’s output is no probability',
}

const NOBODY = { reference: null, patient_name: null, patient_id: null, study_date: null, study_description: null }
const DICOM_IDENTITY = { ...NOBODY, patient_name: 'Phantom^Fiona', patient_id: '0815', study_date: '20260131', study_description: 'Head, follow-up' }

function make({ answer, accepted_ms, format, modality, unit, slices = 1, priority = 'routine', reference }) {
  clock += 1
  const id = `0198f3a2-7c1d-7${randomBytes(1).toString('hex')}0-9a${randomBytes(1).toString('hex')}-${createHash('sha256').update(String(clock)).digest('hex').slice(0, 12)}`
  const reason = REASONS[answer] ?? null
  const made = {
    id, state: 'queued', priority, answer: null, reason: null, accepted_ms, completed_ms: null, format, modality,
    shape: [slices, 256, 256], original_sha256: '', volume_sha256: '', attempt: 0, repeated: false,
  }
  const identity = format === 'dicom' ? DICOM_IDENTITY : { ...NOBODY, reference: reference ?? null }
  const scan = { identity, public: made, answer, reason, unit, listeners: new Set(), pictures: phantom({ tumour: answer === 'found', seed: clock }) }
  scans.set(id, scan)
  return scan
}

function change(scan, fields) {
  Object.assign(scan.public, fields)
  scan.listeners.forEach((tell) => tell())
}

// A history in every state, so that the list has something to show.
function seed() {
  const kinds = [
    { answer: 'found', format: 'dicom', modality: 'MR', unit: 'mm' },
    { answer: 'none_found', format: 'nifti', modality: 'MR', unit: 'mm', slices: 24 },
    { answer: 'found', format: 'zip', modality: 'MR', unit: 'mm', slices: 24 },
    { answer: 'not_analysable', format: 'dicom', modality: 'CT', unit: 'mm' },
    { answer: 'failed', format: 'jpeg', modality: null, unit: 'px' },
    { answer: 'found', format: 'png', modality: null, unit: 'px' },
  ]
  for (let index = 0; index < 33; index++) {
    const accepted_ms = Date.now() - 3_600_000 * (index * 1.7 + 0.2)
    const scan = make({ ...kinds[index % kinds.length], accepted_ms })
    change(scan, { state: 'done', answer: scan.answer, reason: scan.reason, completed_ms: accepted_ms + 340 + index, attempt: 1 })
  }
}

function events(scan, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const tell = () => {
    response.write(`event: scan\nid: ${scan.public.state}-${scan.public.attempt}\ndata: ${JSON.stringify(scan.public)}\n\n`)
    if (scan.public.state === 'done') response.end()
  }
  scan.listeners.add(tell)
  response.on('close', () => scan.listeners.delete(tell))
  tell()
}

function artefact(scan, name, response) {
  const picture = { 'image.png': scan.plain ?? scan.pictures.image, 'overlay.png': scan.pictures.overlay, 'mask.png': scan.pictures.mask }[name]
  if (name === 'result') return json(response, 200, documentOf(scan))
  if (!picture) return problem(response, 404, 'not-found', 'There is no such thing', 'no such artefact')
  response.writeHead(200, { 'content-type': 'image/png' })
  response.end(picture)
}

function problem(response, status, name, title, detail) {
  response.writeHead(status, { 'content-type': 'application/problem+json' })
  response.end(JSON.stringify({ type: `/problems/${name}`, title, status, detail, instance: 'mock' }))
}

function json(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

async function read(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await serve(Number(process.argv[2] ?? 0))
  console.log(`http://127.0.0.1:${server.address().port} ${USER} ${JSON.stringify(PASSWORD)}`)
}
