import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ImageFacts } from './api/result'
import { contourOf } from './contour'
import { chosen, judged, keptIn, lackOf, marked, noted, NOTHING, saidIn, saidOf, toggled, unmarked, type Draft } from './draft'
import { middleOf, pixelAt, rectangleOf } from './geometry'
import { digitOf } from './keys'
import { AS_STORED, labelsIn, sliceOf, unpacked } from './nifti'
import {
  dragged,
  FITTED,
  panned,
  partOf,
  pointAt,
  presetsOf,
  sameWindow,
  scaleLength,
  stretchOf,
  windowIn,
  zoomed,
  type Look,
  type Point,
  type Size,
} from './viewing'
import { TABLES } from './words/table'

/** A NIfTI-1 file of labels, in either byte order. */
function nifti([slices, rows, columns]: [number, number, number], labels: number[], type = 2, little = true): ArrayBuffer {
  const bytes = type === 2 ? 1 : 2
  const view = new DataView(new ArrayBuffer(352 + bytes * labels.length))
  view.setInt32(0, 348, little)
  ;[3, columns, rows, slices, 1, 1, 1, 1].forEach((length, at) => view.setInt16(40 + 2 * at, length, little))
  view.setInt16(70, type, little)
  view.setFloat32(108, 352, little)
  ;[0x6e, 0x2b, 0x31].forEach((letter, at) => view.setUint8(344 + at, letter))
  labels.forEach((label, at) => (bytes === 1 ? view.setUint8(352 + at, label) : view.setInt16(352 + 2 * at, label, little)))
  return view.buffer
}

const counted = (count: number) => Array.from({ length: count }, (_, at) => at)

test('a mask is read whether it is gzipped or not, in bytes and in either byte order', async () => {
  const labels = counted(24)
  const plain = nifti([2, 3, 4], labels)
  const packed = await new Response(new Blob([plain]).stream().pipeThrough(new CompressionStream('gzip'))).blob()
  for (const file of [new Blob([plain]), packed, new Blob([nifti([2, 3, 4], labels, 4)]), new Blob([nifti([2, 3, 4], labels, 4, false)])]) {
    const read = labelsIn(await unpacked(file))
    assert.deepEqual([read.slices, read.rows, read.columns, [...read.labels]], [2, 3, 4, labels])
  }
})

test('what is no whole mask is refused', () => {
  const whole = nifti([2, 3, 4], counted(24))
  assert.throws(() => labelsIn(whole.slice(0, 100)), /shorter/)
  assert.throws(() => labelsIn(whole.slice(0, 370)), /missing/)
  assert.throws(() => labelsIn(new ArrayBuffer(400)), /no NIfTI-1/)
  assert.throws(() => labelsIn(nifti([2, 3, 4], counted(24), 64)), /no labels/)
  assert.throws(() => labelsIn(nifti([0, 3, 4], [])), /no volume/)
})

test('a mask lies over the pictures however they run through its grid', () => {
  const lengths = [2, 3, 4] as const
  const file = labelsIn(nifti([...lengths], counted(24)))
  const ways = [AS_STORED, { axes: [2, 0, 1], flipped: [true, false, true] }, { axes: [1, 2, 0], flipped: [false, true, true] }]
  for (const { axes, flipped } of ways) {
    const [slices, rows, columns] = axes.map((own) => lengths[own] ?? 0) as [number, number, number]
    for (const slice of counted(slices)) {
      const shown = sliceOf(file, { axes, flipped }, slice)
      assert.equal(shown.length, rows * columns)
      for (const at of counted(rows * columns)) {
        const own = [0, 0, 0]
        ;[slice, Math.floor(at / columns), at % columns].forEach((index, axis) => {
          const along = axes[axis] ?? 0
          own[along] = flipped[axis] ? (lengths[along] ?? 0) - 1 - index : index
        })
        const [z = 0, y = 0, x = 0] = own
        assert.equal(shown[at], (z * 3 + y) * 4 + x, `${axes} ${flipped}: ${slice}, ${at}`)
      }
    }
  }
})

test('an outline runs around a label and along its whole edge at once', () => {
  const mask = Uint8Array.from([
    [0, 0, 0, 0],
    [0, 1, 1, 0],
    [0, 1, 2, 0],
  ].flat())
  assert.equal(contourOf(mask, 4, 1), 'M1 1H3M2 2H3M1 3H2M1 1V3M2 2V3M3 1V2')
  // At the edge of the picture it is closed, too.
  assert.equal(contourOf(Uint8Array.of(1), 1, 1), 'M0 0H1M0 1H1M0 0V1M1 0V1')
  assert.equal(contourOf(mask, 4, 3), '')
})

const extent: Size = [200, 100]
const stage: Size = [400, 400]

test('a picture fits its stage, and zooming leaves what is under the pointer where it is', () => {
  assert.deepEqual(partOf(FITTED, extent, stage), { x: 0, y: -50, width: 200, height: 200, scale: 2 })
  const at: Point = [300, 250]
  let look: Look = FITTED
  const before = pointAt(partOf(look, extent, stage), at)
  for (const factor of [1.5, 2, 0.8]) {
    look = zoomed(look, factor, at, extent, stage)
    const now = pointAt(partOf(look, extent, stage), at)
    now.forEach((value, axis) => assert.ok(Math.abs(value - (before[axis] ?? 0)) < 1e-9, `${now}`))
  }
  assert.equal(zoomed(look, 0.01, at, extent, stage), FITTED)
  assert.equal(zoomed(FITTED, 1000, at, extent, stage).zoom, 16)
})

test('a dragged picture follows the pointer and is never lost', () => {
  assert.equal(panned(FITTED, [50, 50], extent, stage), FITTED)
  const near: Look = { zoom: 2, centre: [100, 50] }
  assert.deepEqual(panned(near, [40, -20], extent, stage).centre, [90, 55])
  assert.deepEqual(panned(near, [1e6, 1e6], extent, stage).centre, [0, 0])
})

test('a window is dragged wider to the right and brighter upwards', () => {
  const [low, high] = dragged([100, 300], 200, 0)
  assert.ok(Math.abs(high - low - 200 * Math.E) < 1e-9 && Math.abs((low + high) / 2 - 200) < 1e-9)
  const bright = dragged([100, 300], 0, -30)
  assert.deepEqual([...bright], [80, 280])
})

test('a picture of one window is stretched to look as by another', () => {
  const value = (grey: number, { slope, intercept }: { slope: number; intercept: number }) => grey * slope + intercept
  // 250 is the middle of 0 to 500; by 200 to 400 it is a quarter of the way to white.
  assert.equal(value(0.5, stretchOf([0, 500], [200, 400], false)), 0.25)
  assert.equal(value(0.5, stretchOf([0, 500], [200, 400], true)), 0.75)
  assert.deepEqual(stretchOf([0, 500], [0, 500], false), { slope: 1, intercept: 0 })
})

test('only a CT has windows in Hounsfield units', () => {
  const names = (modality: string | null) => presetsOf([0, 400], modality).map(({ name }) => name)
  assert.ok(names('CT').includes('brain') && !names('MR').includes('brain') && !names(null).includes('bone'))
  assert.deepEqual(presetsOf([0, 400], 'MR').find(({ name }) => name === 'hard')?.window, [100, 300])
  assert.ok(presetsOf([0, 400], 'CT').every(({ window: [low, high] }) => low < high))
})

test('a window that the server says is understood, and anything else is none', () => {
  assert.deepEqual(windowIn('-10.5,400'), [-10.5, 400])
  for (const none of [null, '', '7', '400,0', 'a,b']) assert.equal(windowIn(none), undefined, `${none}`)
  assert.ok(sameWindow([0, 400], [0, 400.0000001]) && !sameWindow([0, 400], undefined) && sameWindow(undefined, undefined))
})

test('a scale is as long as its room allows', () => {
  assert.deepEqual([0.5, 2, 10, 1000].map((scale) => scaleLength(scale, 140)), [200, 50, 10, undefined])
})

const image: ImageFacts = { shape: { slices: 1, rows: 10, columns: 20 }, spacing_mm: [null, 2, 0.5], shown_slice: 0 }

test('a click means the pixel under it, and none beside the picture', () => {
  const { x, y } = middleOf({ row: 3, column: 7 }, image)
  assert.deepEqual([x, y], [3.75, 7])
  assert.deepEqual(pixelAt([x, y], [10, 20], image), { row: 3, column: 7 })
  for (const beside of [[-0.1, 1], [10, 1], [1, 20]] as const) assert.equal(pixelAt(beside, [10, 20], image), undefined)
})

test('a box lies around its pixels', () => {
  const box = { from: [0, 1, 2], to: [1, 4, 8], size: [5, 6, 3] } as { from: [number, number, number]; to: [number, number, number]; size: [number, number, number] }
  assert.deepEqual(rectangleOf({ box }, image), { x: 1, y: 2, width: 3, height: 6 })
})

test('a digit is told by its key, whatever sign stands on it', () => {
  const digits = ['Digit3', 'Numpad7', 'Digit0', 'KeyA'].map((code) => digitOf({ code } as KeyboardEvent))
  assert.deepEqual(digits, [3, 7, 0, undefined])
})

const place = { slice: 4, row: 10, column: 20 }
const findings = [{ label: 1 }, { label: 2 }]

test('a verdict says of the truth what it implies, and unsure says nothing', () => {
  const truths = (['agree', 'correct', 'reject', 'unsure'] as const).map((verdict) => [
    judged(NOTHING, verdict, 'found').truth,
    judged(NOTHING, verdict, 'none_found').truth,
  ])
  assert.deepEqual(truths, [['tumour', 'no_tumour'], ['tumour', 'tumour'], ['no_tumour', 'tumour'], [null, null]])
})

test('nothing is sent before it says something', () => {
  const correct = judged(NOTHING, 'correct', 'found')
  const lacks = (draft: Draft) => lackOf(draft, findings)
  assert.deepEqual([lacks(NOTHING), lacks(correct)], ['verdict', 'correction'])
  assert.deepEqual([saidIn(NOTHING, findings), saidIn(correct, findings)], [undefined, undefined])
  assert.deepEqual([lacks(marked(correct, place)), lacks(toggled(correct, 2))], [undefined, undefined])
  const none = toggled(toggled(correct, 1), 2)
  // That there is a tumour is what its verdict began with.
  assert.deepEqual([none.truth, lacks(none), lacks({ ...none, truth: null })], ['tumour', 'truth', 'truth'])
  assert.deepEqual([lacks({ ...none, truth: 'no_tumour' }), lacks(marked(none, place))], [undefined, undefined])
})

test('what is sent fits its verdict', () => {
  const full: Draft = { ...NOTHING, note: ' beside the midline ', missed: [place], rejected: [2] }
  const correct = saidIn(judged(full, 'correct', 'found'), findings)
  assert.deepEqual([correct?.missed, correct?.findings.map(({ verdict }) => verdict), correct?.note], [
    [place],
    ['agree', 'reject'],
    'beside the midline',
  ])
  // A change of mind takes along what it leaves no room for.
  const agree = saidIn(judged(full, 'agree', 'found'), findings)
  assert.deepEqual([agree?.missed, agree?.findings, agree?.reason], [[], [], null])
  const reject = saidIn({ ...judged(NOTHING, 'reject', 'found'), reason: 'false_finding' }, findings)
  assert.deepEqual(reject?.findings.map(({ verdict }) => verdict), ['reject', 'reject'])
  // One that is not ticked is none, too, where there is no tumour.
  const partly = { ...NOTHING, rejected: [2] }
  for (const draft of [judged(partly, 'reject', 'found'), { ...judged(partly, 'correct', 'found'), truth: 'no_tumour' as const }]) {
    assert.deepEqual(saidIn(draft, findings)?.findings.map(({ verdict }) => verdict), ['reject', 'reject'])
  }
  const outline = saidIn({ ...judged(NOTHING, 'reject', 'found'), truth: 'tumour', reason: 'outline' }, findings)
  assert.deepEqual(outline?.findings, [])
})

test('of each finding it is said what it is, why, and what is noted of it', () => {
  const unsure = judged(NOTHING, 'unsure', 'found')
  assert.deepEqual([saidOf(unsure, 1), saidIn(unsure, findings)?.findings], [null, []])
  const doubted = noted(noted(chosen(unsure, 1, 'unsure'), 1, { reason: 'quality' }), 1, { note: ' too dark ' })
  assert.deepEqual(saidIn(doubted, findings)?.findings, [{ label: 1, verdict: 'unsure', reason: 'quality', note: 'too dark' }])
  // Whoever agrees with one after all has no reason not to, and the note stays.
  const correct = chosen(chosen(judged(doubted, 'correct', 'found'), 1, 'agree'), 2, 'reject')
  assert.deepEqual(saidIn(correct, findings)?.findings, [{ label: 1, verdict: 'agree', note: 'too dark' }, { label: 2, verdict: 'reject' }])
  assert.deepEqual(saidIn(judged(doubted, 'agree', 'found'), findings)?.findings, [])
  // Where one may be a tumour, it is not said that there is none.
  const reject = judged(NOTHING, 'reject', 'found')
  assert.deepEqual([reject, chosen(reject, 1, 'unsure'), chosen(reject, 1, 'agree')].map(({ truth }) => truth), ['no_tumour', null, 'tumour'])
  assert.deepEqual([saidOf(reject, 1), saidOf(chosen(reject, 1, 'unsure'), 1)], ['reject', 'unsure'])
  // A correction that leaves but what is doubted says of itself whether there is a tumour.
  const left = chosen(chosen(judged(NOTHING, 'correct', 'found'), 1, 'reject'), 2, 'unsure')
  assert.deepEqual([lackOf(left, findings), lackOf({ ...left, truth: null }, findings)], [undefined, 'doubt'])
  assert.equal(lackOf(chosen(judged(NOTHING, 'correct', 'found'), 1, 'unsure'), findings), 'correction')
})

test('a place is marked once, and taken back', () => {
  const twice = marked(marked(NOTHING, place), { ...place })
  assert.deepEqual(twice.missed, [place])
  assert.deepEqual(unmarked(twice, { ...place }).missed, [])
  assert.deepEqual(toggled(toggled(NOTHING, 1), 1).rejected, [])
})

test('a draft is found again by its reader alone', () => {
  const draft = marked(judged(NOTHING, 'correct', 'found'), place)
  const kept = JSON.stringify({ reader: 'ada', key: 'k', draft })
  assert.deepEqual(keptIn(kept, 'ada')?.draft, draft)
  assert.equal(keptIn(kept, 'eve'), undefined)
  for (const broken of [null, '', '{', '7', '{"reader":"ada"}', '{"reader":"ada","key":"k","draft":{}}']) {
    assert.equal(keptIn(broken, 'ada'), undefined, `${broken}`)
  }
})

test('no word is missing in any language', () => {
  const empty = (table: object, path: string): string[] =>
    Object.entries(table).flatMap(([name, value]) =>
      typeof value === 'object' ? empty(value as object, `${path}.${name}`) : value === '' ? [`${path}.${name}`] : [],
    )
  for (const [language, table] of Object.entries(TABLES)) assert.deepEqual(empty(table, language), [])
})
