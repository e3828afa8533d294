import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Finding, ResultDocument } from './api/result'
import { aidOf, changeOf, opposite, sizesOf } from './compare'
import { Follower } from './state/follower.svelte'
import { Reading } from './state/reading.svelte'
import { lengthOf, twoFingers, type Point } from './viewing'
import { affineOf, cutsOf, labelsLike, placed, placeOf, pointOf, shapeOf, type Affine } from './volume'

function finding(long: number, across: number, slices = 3, more: Partial<Finding> = {}): Finding {
  const length = (length: number) => ({ length, ends: [[0, 0], [0, 0]] }) as Finding['longest_diameter']
  const box = { from: [0, 0, 0], to: [slices, 9, 9], size: [slices, 9, 9] } as Finding['box']
  const shape = { label: 1, unit: 'mm', role: 'main', box, longest_diameter: length(long), perpendicular_diameter: length(across) }
  return { ...shape, ...more } as Finding
}

function result(findings: Finding[], volume_ml: number | null = 12): ResultDocument {
  return { findings, totals: { volume_ml } } as unknown as ResultDocument
}

test('sizes are those of the largest main region and of what is measurable', () => {
  const found = result([finding(40, 20), finding(12, 9), finding(15, 10, 1), finding(30, 30, 3, { role: 'lesser' }), finding(11, 10)])
  assert.deepEqual(sizesOf(found, 24), { volume_ml: 12, longest_mm: 40, perpendicular_mm: 20, products_mm2: 910 })
  assert.equal(sizesOf(found, 1).volume_ml, undefined)
  const six = result(Array.from({ length: 6 }, () => finding(10, 10)))
  assert.equal(sizesOf(six, 24).products_mm2, 500, 'at most five')
})

test('nothing found is no size, and pixels are no millimetres', () => {
  const none = { longest_mm: undefined, perpendicular_mm: undefined }
  assert.deepEqual(sizesOf(result([], null), 24), { ...none, volume_ml: 0, products_mm2: 0 })
  const pixels = result([finding(40, 20, 3, { unit: 'px' })], null)
  assert.deepEqual(sizesOf(pixels, 24), { ...none, volume_ml: undefined, products_mm2: undefined })
})

test('the words of RANO begin at a quarter more and at half as much', () => {
  const of = (products_mm2: number | undefined) => ({ ...sizesOf(result([]), 24), products_mm2 })
  for (const [before, now, expected] of [
    [400, 500, 'increase'],
    [400, 499, 'between'],
    [400, 201, 'between'],
    [400, 200, 'decrease'],
    [400, 0, 'unmeasurable'],
    [0, 400, 'unmeasurable'],
    [undefined, 400, 'unknown'],
  ] as const) {
    assert.equal(aidOf(of(before), of(now), 'flair'), expected, `${before} to ${now}`)
  }
  assert.equal(aidOf(of(400), of(500), 'other'), 'kind')
  assert.equal(changeOf(400, 500), 0.25)
})

test('slices lie opposite each other by their distance in mm', () => {
  assert.equal(opposite(14, [12, 40], 5, 1), 50)
  assert.equal(opposite(11, [12, 40], 5, 1), 35)
  assert.equal(opposite(50, [40, 12], 1, 5), 14)
})

test('two fingers zoom when they part and set the window when they go side by side', () => {
  const begun: [Point, Point] = [[100, 100], [200, 100]]
  for (const [now, expected] of [
    [[[104, 100], [204, 100]], undefined],
    [[[80, 100], [220, 100]], 'zoom'],
    [[[110, 100], [190, 100]], 'zoom'],
    [[[130, 90], [230, 90]], 'window'],
    [[[100, 130], [200, 130]], 'window'],
  ] as [[Point, Point], string | undefined][]) {
    assert.equal(twoFingers(begun, now), expected, JSON.stringify(now))
  }
})

test('a measure is as long as the picture says, whichever way it runs', () => {
  assert.equal(lengthOf({ slice: 0, from: [1, 2], to: [4, 6] }), 5)
})

/** A volume of two slices, three rows and four columns, as the server writes it. */
function volume(affine?: number[][]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(352 + 4 * 24))
  view.setInt32(0, 348, true)
  ;[3, 4, 3, 2, 1, 1, 1, 1].forEach((length, at) => view.setInt16(40 + 2 * at, length, true))
  view.setInt16(70, 16, true)
  view.setInt16(72, 32, true)
  ;[1, 0.5, 2, 5].forEach((length, at) => view.setFloat32(76 + 4 * at, length, true))
  view.setFloat32(108, 352, true)
  affine?.flat().forEach((value, at) => view.setFloat32(280 + 4 * at, value, true))
  if (affine) view.setInt16(254, 1, true)
  return view.buffer
}

test('a voxel is found again by its place in the patient, in an oblique volume too', () => {
  const oblique: Affine = [
    [-0.5, 0, 1, 80],
    [0, -2, 0.5, 90],
    [0, 0.25, 4.5, -30],
  ]
  assert.deepEqual(affineOf(volume(oblique.map((row) => [...row]))), oblique)
  const found = placeOf(oblique, pointOf(oblique, [3, 2, 1]))
  found?.forEach((value, axis) => assert.ok(Math.abs(value - [3, 2, 1][axis]!) < 1e-9))
  assert.equal(placeOf([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], [1, 2, 3]), undefined)
})

test('a volume without a place is shown as its pictures are, and one with a place stays where it is', () => {
  assert.deepEqual(affineOf(placed(volume())), [[-0.5, 0, 0, 0], [0, -2, 0, 0], [0, 0, 5, 0]])
  const known = volume([[1, 0, 0, 7], [0, 1, 0, 8], [0, 0, 1, 9]])
  assert.equal(placed(known), known)
})

test('a volume has as many slices in each plane as it is long across it', () => {
  const shape = [24, 256, 192]
  assert.deepEqual(cutsOf('axial', shape), { axial: 24, coronal: 256, sagittal: 192 })
  assert.deepEqual(cutsOf('coronal', shape), { axial: 256, coronal: 24, sagittal: 192 })
  assert.deepEqual(cutsOf('sagittal', shape), { axial: 256, coronal: 192, sagittal: 24 })
})

test('a mask lies on the very grid of its volume', () => {
  const file = volume()
  const made = labelsLike(file, (slice) => new Uint8Array(12).fill(slice + 1))
  assert.deepEqual(shapeOf(made), [2, 3, 4])
  const view = new DataView(made)
  assert.deepEqual([view.getInt16(70, true), view.getInt16(72, true), made.byteLength], [2, 8, 352 + 24])
  assert.deepEqual([...new Uint8Array(made, 352)], [...Array(12).fill(1), ...Array(12).fill(2)])
})

test('a scan beside goes where the other one goes, in mm, until it is let go', () => {
  const leader = new Reading([24, 64, 64])
  leader.go(11)
  const beside = new Follower([48, 64, 64], leader, [5, 2.5])
  assert.deepEqual([beside.linked, beside.slice], [true, 22], 'middle beside middle')
  const scroll = (by: number) => {
    beside.scroll(by)
    beside.follow(leader.slice)
    return [leader.slice, beside.slice]
  }
  assert.deepEqual(scroll(2), [12, 24])
  assert.deepEqual(scroll(1), [13, 26], 'at least one slice of the thicker ones')
  beside.link(false)
  assert.deepEqual(scroll(3), [13, 29], 'let go, it goes alone')
  beside.link(true)
  leader.go(14)
  beside.follow(leader.slice)
  assert.equal(beside.slice, 31, 'what lay opposite stays opposite')
  leader.go(0)
  beside.follow(leader.slice)
  assert.equal(beside.slice, 3)
})

test('where the distance of slices is not known nothing is linked', () => {
  const leader = new Reading([24, 64, 64])
  const beside = new Follower([48, 64, 64], leader, undefined)
  beside.link(true)
  leader.go(3)
  beside.follow(leader.slice)
  assert.deepEqual([beside.linkable, beside.linked, beside.slice], [false, false, 24])
})
