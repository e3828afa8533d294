import assert from 'node:assert/strict'
import { inflateSync, crc32 } from 'node:zlib'
import { test } from 'node:test'
import type { OwnMask } from './api/masks'
import type { Finding, ImageFacts } from './api/result'
import { between, depths } from './between'
import { packed, unpackedBits } from './bits'
import { lackOf, NOTHING, saidIn, type Draft } from './draft'
import { enclosed, indexOf, together, touched, voxelOf, voxelsOf, way, type Grid, type Voxel } from './drawing'
import { pixelAt } from './geometry'
import { asShown, asStored, labelsIn, sliceOf, withLabels } from './nifti'
import { greyPng } from './png'
import { Drawing } from './state/drawing.svelte'
import { partOf, pointAt, zoomed, type Look } from './viewing'

const LENGTHS = [3, 4, 5] as const
const counted = (count: number) => Array.from({ length: count }, (_, at) => at)

/** All 48 ways in which pictures can run through a file's grid. */
const WAYS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].flatMap((axes) =>
  counted(8).map((bits) => ({ axes, flipped: [0, 1, 2].map((axis) => Boolean(bits & (1 << axis))) })),
)

/** A NIfTI-1 file of labels with an affine and a description in its header, in either byte order. */
function nifti(labels: readonly number[], little: boolean, type = 2): ArrayBuffer {
  const bytes = type === 2 ? 1 : 2
  const view = new DataView(new ArrayBuffer(352 + bytes * labels.length))
  view.setInt32(0, 348, little)
  ;[3, LENGTHS[2], LENGTHS[1], LENGTHS[0], 1, 1, 1, 1].forEach((length, at) => view.setInt16(40 + 2 * at, length, little))
  view.setInt16(70, type, little)
  view.setInt16(72, 8 * bytes, little)
  view.setFloat32(108, 352, little)
  ;[-0.9, 0.1, 0, 90, 0, 0.9, 0.2, -126, 0, 0, 5, -72].forEach((value, at) => view.setFloat32(280 + 4 * at, value, little))
  ;[0x6e, 0x2b, 0x31].forEach((letter, at) => view.setUint8(344 + at, letter))
  labels.forEach((label, at) => (bytes === 1 ? view.setUint8(352 + at, label) : view.setInt16(352 + 2 * at, label, little)))
  return view.buffer
}

/** Where in the file a voxel of the pictures is, by the definition of `own_grid` and nothing else. */
function inFile({ slice, row, column }: Voxel, { axes, flipped }: (typeof WAYS)[number]): number {
  const own = [0, 0, 0]
  ;[slice, row, column].forEach((index, axis) => {
    const along = axes[axis] ?? 0
    own[along] = flipped[axis] ? (LENGTHS[along] ?? 0) - 1 - index : index
  })
  const [z = 0, y = 0, x = 0] = own
  return (z * LENGTHS[1] + y) * LENGTHS[2] + x
}

test('what is drawn under the pointer lies at that very voxel of the file, in all 48 orientations', () => {
  const file = labelsIn(nifti(counted(60).map(() => 0), true))
  for (const grid of WAYS) {
    const [slices, rows, columns] = grid.axes.map((own) => LENGTHS[own] ?? 0) as [number, number, number]
    const image: ImageFacts = { shape: { slices, rows, columns }, spacing_mm: [5, 0.7, 1.3], shown_slice: 0 }
    const extent = [columns * 1.3, rows * 0.7] as const
    const stage = [300, 200] as const
    const near: Look = zoomed({ zoom: 1, centre: undefined }, 3, [80, 120], extent, stage)
    const part = partOf(near, extent, stage)
    for (const index of counted(slices * rows * columns)) {
      const voxel = voxelOf({ rows, columns }, index)
      assert.equal(indexOf({ rows, columns }, voxel), index)
      // Where the screen has the middle of that pixel, and near each of its corners.
      for (const [down, across] of [[0.5, 0.5], [0.01, 0.01], [0.99, 0.99]] as const) {
        const x = ((voxel.column + across) * 1.3 - part.x) * part.scale
        const y = ((voxel.row + down) * 0.7 - part.y) * part.scale
        assert.deepEqual(pixelAt(pointAt(part, [x, y]), [rows, columns], image), { row: voxel.row, column: voxel.column })
      }
      const drawn = new Uint8Array(60)
      drawn[index] = 1
      const stored = asStored(drawn, file, grid)
      assert.deepEqual([stored.indexOf(1), stored.lastIndexOf(1)], [inFile(voxel, grid), inFile(voxel, grid)])
      // And it is seen again where it was drawn.
      const seen = sliceOf({ ...file, labels: stored }, grid, voxel.slice)
      assert.equal(seen.indexOf(1), voxel.row * columns + voxel.column)
      assert.equal(asShown({ ...file, labels: stored }, grid).indexOf(1), index)
    }
  }
})

test('a drawn file has the grid, the affine and the byte order of the one that it was drawn on', () => {
  for (const [little, type] of [[true, 2], [false, 2], [true, 4], [false, 512]] as const) {
    const own = nifti(counted(60), little, type)
    const labels = Uint8Array.from(counted(60), (at) => at % 2)
    const drawn = withLabels(own, labels)
    const read = labelsIn(drawn.buffer)
    assert.deepEqual([read.slices, read.rows, read.columns, [...read.labels]], [...LENGTHS, [...labels]])
    assert.deepEqual(drawn.slice(280, 348), new Uint8Array(own).slice(280, 348))
    const view = new DataView(drawn.buffer)
    assert.deepEqual([view.getInt16(70, little), view.getInt16(72, little), view.getFloat32(112, little)], [2, 8, 1])
  }
})

test('a drawn picture is a grey PNG with the very pixels', async () => {
  const pixels = Uint8Array.from([0, 255, 0, 255, 0, 255])
  const file = Buffer.from(await (await greyPng(pixels, 2, 3)).arrayBuffer())
  assert.deepEqual([file.readUInt32BE(16), file.readUInt32BE(20), file[24], file[25]], [3, 2, 8, 0])
  const length = file.readUInt32BE(33)
  assert.equal(file.subarray(37, 41).toString('latin1'), 'IDAT')
  assert.equal(file.readUInt32BE(41 + length), crc32(file.subarray(37, 41 + length)))
  assert.deepEqual([...inflateSync(file.subarray(41, 41 + length))], [0, 0, 255, 0, 0, 255, 0, 255])
})

const grid: Grid = { slices: 5, rows: 9, columns: 11, voxel: [4, 1, 0.5] }
const middle: Voxel = { slice: 2, row: 4, column: 5 }

test('a brush is as wide in mm as it says, and reaches through slices if it is asked to', () => {
  const flat = touched(grid, middle, 2, false).map((index) => voxelOf(grid, index))
  assert.ok(flat.every(({ slice }) => slice === 2))
  const reach = (of: (voxel: Voxel) => number) => [Math.min(...flat.map(of)), Math.max(...flat.map(of))]
  assert.deepEqual([reach(({ row }) => row), reach(({ column }) => column)], [[3, 5], [3, 7]])
  const deep = touched(grid, middle, 8, true).map((index) => voxelOf(grid, index))
  assert.deepEqual([...new Set(deep.map(({ slice }) => slice))], [1, 2, 3])
  assert.deepEqual(touched(grid, middle, 0.1, true), [indexOf(grid, middle)])
  // At a corner of the volume it stays within.
  assert.ok(touched(grid, { slice: 0, row: 0, column: 0 }, 30, true).every((index) => index >= 0 && index < 5 * 9 * 11))
})

test('a fast line has no gaps', () => {
  const line = way({ ...middle, row: 0, column: 0 }, { ...middle, row: 3, column: 10 })
  assert.deepEqual([line.length, line.at(-1)], [10, { slice: 2, row: 3, column: 10 }])
  let [row, column] = [0, 0]
  for (const at of line) {
    assert.ok(Math.abs(at.row - row) <= 1 && Math.abs(at.column - column) <= 1)
    ;[row, column] = [at.row, at.column]
  }
})

/** A mask of that grid, drawn as a picture of one slice. */
function drawnAs(lines: readonly string[], slice = 2): Uint8Array {
  const mask = new Uint8Array(5 * 9 * 11)
  lines.forEach((line, row) => [...line].forEach((sign, column) => (mask[indexOf(grid, { slice, row: row + 1, column: column + 2 })] = sign === '#' ? 1 : 0)))
  return mask
}

test('what is enclosed is filled, across corners too, and nothing runs out of what is open', () => {
  const ring = drawnAs(['.##.', '#..#', '#..#', '.##.'])
  const hole = enclosed(ring, grid, { slice: 2, row: 2, column: 4 }, false)
  assert.deepEqual(hole?.map((index) => voxelOf(grid, index)).map(({ row, column }) => [row, column]).sort(), [[2, 3], [2, 4], [3, 3], [3, 4]])
  assert.equal(enclosed(ring, grid, { slice: 2, row: 2, column: 4 }, true), undefined)
  assert.equal(enclosed(drawnAs(['.##.', '#..#', '#...', '.##.']), grid, { slice: 2, row: 2, column: 4 }, false), undefined)
  assert.equal(together(ring, grid, { slice: 2, row: 1, column: 3 }, false).length, 8)
})

test('distances to a shape’s edge are exact, and what lies between two slices goes over from one to the other', () => {
  const one = Uint8Array.from([0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0])
  const depth = depths(one, 5, [2, 3])
  counted(20).forEach((at) => {
    const here = one[at]
    const away = counted(20).filter((other) => one[other] !== here).map((other) => Math.hypot(2 * (Math.floor(other / 5) - Math.floor(at / 5)), 3 * ((other % 5) - (at % 5))))
    assert.ok(Math.abs((depth[at] ?? 0) - (here ? 1 : -1) * Math.min(...away)) < 1e-9, `${at}`)
  })
  assert.deepEqual(between(one, one, 0.5, 5, [2, 3]), one)
  const square = (reach: number) => Uint8Array.from(counted(441), (at) => (Math.max(Math.abs(Math.floor(at / 21) - 10), Math.abs((at % 21) - 10)) <= reach ? 1 : 0))
  const halfway = between(square(2), square(6), 0.5, 21, [1, 1])
  assert.deepEqual([halfway[10 * 21 + 14], halfway[10 * 21 + 15], halfway[10 * 21 + 6], halfway[10 * 21 + 5]], [1, 0, 1, 0])
})

test('bits keep a mask whole, and are of no other', () => {
  const mask = Uint8Array.from(counted(21), (at) => (at % 3 === 0 ? 1 : 0))
  assert.deepEqual(unpackedBits(packed(mask), 21), mask)
  assert.equal(unpackedBits(packed(mask), 40), undefined)
})

function finding(label: number, role: 'main' | 'lesser', from: [number, number, number], to: [number, number, number], voxels: number): Finding {
  const size = [to[0] - from[0], to[1] - from[1], to[2] - from[2]] as [number, number, number]
  return { label, role, voxels, box: { from, to, size } } as unknown as Finding
}

/** Two findings whose boxes overlap, the second a lesser one. */
function drawing() {
  const labels = drawnAs(['####', '...#', '...#', '...#'])
  labels[indexOf(grid, { slice: 2, row: 4, column: 2 })] = 2
  const findings = [finding(1, 'main', [2, 1, 2], [3, 5, 6], 7), finding(2, 'lesser', [2, 4, 2], [3, 5, 3], 1)]
  const own: OwnMask = { labels, file: async () => ({ blob: new Blob([]), name: 'mask.nii.gz' }) }
  return new Drawing(own, grid, 'mm', findings)
}

const marked = (drawing: Drawing, voxel: Voxel) => drawing.slice(voxel.slice)[voxel.row * grid.columns + voxel.column]

test('a finding’s voxels are its own, whatever else is in its box', () => {
  const { findings } = drawing()
  const labels = drawnAs(['####', '...#', '...#', '...#'])
  labels[indexOf(grid, { slice: 2, row: 4, column: 2 })] = 2
  assert.deepEqual(findings.map((one) => voxelsOf(labels, grid, one).length), [7, 1])
  assert.deepEqual(voxelsOf(labels, grid, finding(3, 'main', [0, 0, 0], [1, 1, 1], 4)), [])
})

test('a stroke is one step, taken back and done again', () => {
  const draw = drawing()
  let steps = 0
  draw.stepped = () => (steps += 1)
  while (draw.diameter > 1) draw.resize(-1)
  assert.ok(!draw.changed && draw.marks)
  draw.begin({ slice: 0, row: 1, column: 1 })
  draw.draw({ slice: 0, row: 7, column: 1 })
  draw.end()
  assert.deepEqual([steps, draw.changed, draw.slice(0).includes(1)], [1, true, true])
  assert.ok(draw.undo() && !draw.changed && !draw.undo())
  assert.ok(draw.redo() && draw.changed && !draw.redo())
  draw.begin({ slice: 0, row: 4, column: 4 })
  draw.cancel()
  assert.equal(marked(draw, { slice: 0, row: 4, column: 4 }), 0)
  draw.tool = 'eraser'
  draw.begin({ slice: 0, row: 1, column: 1 })
  draw.draw({ slice: 0, row: 7, column: 1 })
  draw.end()
  assert.deepEqual([steps, draw.changed], [2, false])
})

test('whatever is done in the middle of a stroke, all of it is taken back', () => {
  const draw = drawing()
  draw.deep = true
  draw.begin({ slice: 2, row: 4, column: 5 })
  draw.copy(0, 2)
  draw.begin({ slice: 1, row: 2, column: 2 })
  draw.clear()
  draw.begin({ slice: 1, row: 2, column: 2 })
  let steps = 0
  while (draw.undo()) steps += 1
  assert.deepEqual([steps, draw.changed], [4, false])
})

test('a finding is taken out and comes back, alone', () => {
  const draw = drawing()
  assert.deepEqual([draw.gone(1), draw.gone(2), draw.gone(9)], [false, false, undefined])
  draw.toggle(1)
  assert.deepEqual([draw.gone(1), draw.gone(2), draw.marks], [true, false, true])
  draw.toggle(1)
  assert.ok(!draw.changed)
  draw.clear()
  assert.deepEqual([draw.marks, draw.gone(2)], [false, true])
  draw.reset()
  assert.ok(!draw.changed)
})

test('fill, remove, copy and what lies between say why they do nothing', () => {
  const draw = drawing()
  draw.tool = 'fill'
  assert.deepEqual([draw.begin({ slice: 2, row: 3, column: 3 }), draw.begin({ slice: 2, row: 1, column: 2 })], ['open', 'same'])
  draw.tool = 'remove'
  assert.equal(draw.begin({ slice: 0, row: 0, column: 0 }), 'empty')
  assert.deepEqual([draw.bridge(2), draw.copy(4, 5), draw.copy(0, 1)], ['alone', 'last', 'same'])
  assert.equal(draw.copy(2, 4), undefined)
  assert.deepEqual(draw.slice(4), draw.slice(2))
  assert.equal(draw.slice(3).includes(1), false)
  assert.equal(draw.bridge(2), undefined)
  assert.deepEqual(draw.slice(3), draw.slice(2))
  assert.ok(draw.undo() && !draw.slice(3).includes(1) && draw.slice(4).includes(1))
})

test('a drawing that was kept goes on as it was', () => {
  const [draw, other] = [drawing(), drawing()]
  draw.begin({ slice: 0, row: 4, column: 4 })
  draw.end()
  assert.ok(other.restore(draw.kept()))
  assert.deepEqual(counted(5).map((slice) => other.slice(slice)), counted(5).map((slice) => draw.slice(slice)))
  assert.equal(other.restore({ bits: new Uint8Array(3), slices: [] }), false)
})

test('a drawing and what is said beside it do not contradict each other', () => {
  const findings = [{ label: 1 }]
  const correct: Draft = { ...NOTHING, verdict: 'correct', truth: 'tumour' }
  const place = { slice: 0, row: 0, column: 0 }
  const lacks = (draft: Draft, marks: boolean) => lackOf(draft, findings, { marks })
  assert.deepEqual([lacks(correct, true), lacks({ ...correct, truth: null }, true), lacks({ ...correct, truth: 'no_tumour' }, true)], [undefined, undefined, 'drawn'])
  assert.deepEqual([lacks(correct, false), lacks({ ...correct, truth: 'no_tumour' }, false), lacks({ ...correct, missed: [place] }, false)], ['truth', undefined, undefined])
  assert.deepEqual(saidIn({ ...correct, rejected: [1] }, findings, { marks: true })?.findings, [{ label: 1, verdict: 'reject' }])
  assert.equal(saidIn(correct, findings), undefined)
  assert.equal(saidIn(correct, findings, { marks: true })?.verdict, 'correct')
})
