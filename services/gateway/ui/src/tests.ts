import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemOf } from './api/problem'
import type { Diameter, Finding, ImageFacts } from './api/result'
import { eventsOf, type ServerEvent } from './api/sse'
import { lineOf } from './geometry'
import { boxOf, diametersOf, inWords, sizeOf } from './sizes'
import { bytes, dayOf, figures, probability } from './units'
import { ANSWERS, fitOf, sentence, shortId } from './words'

async function events(chunks: string[]): Promise<ServerEvent[]> {
  async function* stream() {
    yield* chunks
  }
  const seen: ServerEvent[] = []
  for await (const event of eventsOf(stream())) seen.push(event)
  return seen
}

const across = (length: number): Diameter => ({ length, ends: [[0, 0], [0, length]] })

const finding: Finding = {
  label: 1,
  unit: 'mm',
  voxels: 900,
  volume_ml: 3.5,
  slice: 4,
  area_px: 300,
  area_mm2: 263.7,
  diameter_slice: 4,
  longest_diameter: across(31.25),
  perpendicular_diameter: across(9.96),
  box: { from: [3, 0, 0], to: [6, 20, 30], size: [15, 18.75, 28.1] },
  confidence: 0.9,
}
const inPixels: Finding = { ...finding, unit: 'px', volume_ml: null, area_mm2: null }

test('an event cut anywhere is one event', async () => {
  const text = ': hello\r\n\r\nevent: scan\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
  const whole = [{ event: 'scan', data: '{"a":\n1}' }]
  for (let cut = 0; cut <= text.length; cut++) {
    assert.deepEqual(await events([text.slice(0, cut), text.slice(cut)]), whole, `cut at ${cut}`)
  }
  assert.deepEqual(await events([...text]), whole)
})

test('an event without its empty line has not ended', async () => {
  assert.deepEqual(await events(['data: 1\n\ndata: 2\n']), [{ event: 'message', data: '1' }])
})

test('a size says its unit, and pixels where none is known', () => {
  const says = (one: Finding, slices: number) => {
    const { number, unit, what } = sizeOf(one, slices)
    return `${what}: ${number} ${unit}`
  }
  assert.equal(says(finding, 24), 'Volume: 3.50 mL')
  assert.equal(says(finding, 1), 'Area in this slice: 264 mm²')
  assert.equal(says(inPixels, 24), 'Volume: 900 voxels')
  assert.equal(says(inPixels, 1), 'Area in this slice: 900 pixels')
})

test('a volume of nought is no missing volume', () => {
  assert.equal(sizeOf({ ...finding, volume_ml: 0 }, 24).unit, 'mL')
})

test('lengths carry the unit of the finding', () => {
  assert.equal(diametersOf(finding), '31.3 × 9.96 mm')
  assert.equal(diametersOf(inPixels), '31.3 × 9.96 pixels')
  assert.equal(boxOf(finding, 24), '28.1 × 18.8 × 15.0 mm')
  assert.equal(boxOf(inPixels, 24), '28.1 × 18.8 pixels')
})

test('the sentence tells of one region, and of several together', () => {
  assert.equal(inWords([finding], finding, 24), 'One region, 31.3 mm at its longest and 9.96 mm across.')
  const totals = { voxels: 1800, volume_ml: 7, area_mm2: null }
  assert.match(inWords([finding, finding], totals, 24), /^2 regions, 7\.00 mL together\. The largest is 31\.3 mm/)
})

test('a diameter is drawn through the centres of pixels, in millimetres where they are known', () => {
  const image: ImageFacts = {
    shape: { slices: 1, rows: 10, columns: 10 },
    spacing_mm: [null, 2, 0.5],
    shown_slice: 0,
  }
  assert.deepEqual(lineOf({ length: 0, ends: [[1, 3], [2, 5]] }, image), { x1: 1.75, y1: 3, x2: 2.75, y2: 5 })
  assert.deepEqual(lineOf({ length: 0, ends: [[1, 3], [2, 5]] }, undefined), { x1: 3.5, y1: 1.5, x2: 5.5, y2: 2.5 })
})

test('a refusal keeps the words of the server', () => {
  const body = '{"type":"/problems/too-small","title":"The image is too small","detail":"it is 12 x 12 pixels"}'
  const problem = problemOf(422, body)
  assert.deepEqual(
    [problem.name, problem.title, problem.detail, problem.transient],
    ['too-small', 'The image is too small', 'It is 12 x 12 pixels', false],
  )
})

test('an answer that is no problem document is a problem all the same', () => {
  for (const body of ['<html>', 'null', '[]', '{"title":7}']) {
    const problem = problemOf(502, body)
    assert.deepEqual([problem.title, problem.transient], ['The server answered with status 502', true], body)
  }
})

test('no two answers have the same title, and none says more than it may', () => {
  const titles = Object.values(ANSWERS).map(({ title }) => title)
  assert.equal(new Set(titles).size, 4)
  assert.match(ANSWERS.none_found.sentence, /does not rule out/)
  assert.match(ANSWERS.failed.sentence, /nothing about the patient/)
})

test('an expected fit says where it may lie', () => {
  const words = fitOf({ dice: 0.812, interval: [0.6, 0.951] })
  assert.match(words, /by 0\.81 .* between 0\.60 and 0\.95\.$/)
})

test('numbers are as fine as they may be', () => {
  assert.deepEqual([0.126, 9.99, 12.34, 123.4].map(figures), ['0.13', '9.99', '12.3', '123'])
  assert.deepEqual([512, 45_000, 1_240_000].map(bytes), ['512 B', '45.0 kB', '1.24 MB'])
  assert.deepEqual([1238.4, 65_536].map(figures), ['1238', '65\u202f536'])
})

test('what is nearly sure is not called sure', () => {
  assert.deepEqual([0, 0.004, 0.5, 0.996, 1].map(probability), ['0 %', 'below 1 %', '50 %', 'above 99 %', '100 %'])
})

test('days are called what people call them', () => {
  const now = new Date(2026, 2, 1, 0, 30).getTime()
  assert.equal(dayOf(now - 60_000, now), 'Today')
  assert.equal(dayOf(now - 3_600_000, now), 'Yesterday')
  assert.match(dayOf(now - 48 * 3_600_000, now), /27/)
})

test('short ids tell scans of the same second apart', () => {
  assert.notEqual(shortId('0198f3a2-7c1d-7000-9a00-0123456789ab'), shortId('0198f3a2-7c1d-7000-9a01-0123456789ac'))
  assert.equal(sentence('the model is away'), 'The model is away.')
})
