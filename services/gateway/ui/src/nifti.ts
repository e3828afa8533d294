import type { OwnGrid } from './api/types'

/** Labels in the order of their file: that of (slice, row, column) is at (slice × rows + row) × columns + column. */
export interface Labels {
  slices: number
  rows: number
  columns: number
  labels: Uint8Array
}

/** Bytes of a NIfTI-1 header, and where its fields are. */
const HEADER = 348
const AT = { dimensions: 40, type: 70, bits: 72, offset: 108, slope: 112, intercept: 116, magic: 344 }
/** Where voxels begin in a file that says nothing more: behind four bytes for what it might say. */
const VOXELS = 352
const UINT8 = 2

type Read = (view: DataView, at: number, little: boolean) => number

/** NIfTI-1's `datatype`, as far as masks are written in it. */
const TYPES: Readonly<Record<number, { bytes: number; read: Read }>> = {
  2: { bytes: 1, read: (view, at) => view.getUint8(at) },
  4: { bytes: 2, read: (view, at, little) => view.getInt16(at, little) },
  8: { bytes: 4, read: (view, at, little) => view.getInt32(at, little) },
  16: { bytes: 4, read: (view, at, little) => view.getFloat32(at, little) },
  256: { bytes: 1, read: (view, at) => view.getInt8(at) },
  512: { bytes: 2, read: (view, at, little) => view.getUint16(at, little) },
}

/** The bytes of a file, unpacked where they are gzipped. */
export async function unpacked(file: Blob): Promise<ArrayBuffer> {
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer())
  if (first !== 0x1f || second !== 0x8b) return file.arrayBuffer()
  return new Response(file.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer()
}

/** The labels in an unpacked NIfTI-1 file; an error says why there are none. */
export function labelsIn(file: ArrayBuffer): Labels {
  const view = new DataView(file)
  if (view.byteLength < HEADER + 4) throw new Error('the file is shorter than its header')
  const little = view.getInt32(0, true) === HEADER
  if (!little && view.getInt32(0, false) !== HEADER) throw new Error('the file is no NIfTI-1')
  if (String.fromCharCode(...new Uint8Array(file, AT.magic, 3)) !== 'n+1') throw new Error('the voxels are in another file')
  const [columns, rows, slices] = lengthsIn(view, little)
  const type = TYPES[view.getInt16(AT.type, little)]
  if (!type) throw new Error('the voxels are no labels')
  const [offset, count] = [view.getFloat32(AT.offset, little), slices * rows * columns]
  if (!(offset >= HEADER) || offset + count * type.bytes > view.byteLength) throw new Error('voxels are missing')
  return { slices, rows, columns, labels: read(view, type, offset, count, little) }
}

function lengthsIn(view: DataView, little: boolean): [number, number, number] {
  const dimensions = view.getInt16(AT.dimensions, little)
  const length = (axis: number) => (axis <= dimensions ? view.getInt16(AT.dimensions + 2 * axis, little) : 1)
  const lengths: [number, number, number] = [length(1), length(2), length(3)]
  const more = [4, 5, 6, 7].some((axis) => length(axis) > 1)
  if (dimensions < 1 || dimensions > 7 || more || lengths.some((length) => length < 1)) throw new Error('this is no volume')
  return lengths
}

function read(view: DataView, type: { bytes: number; read: Read }, offset: number, count: number, little: boolean): Uint8Array {
  // Bytes are taken as they lie there: a mask may have some ten million.
  if (type.bytes === 1) return new Uint8Array(view.buffer, offset, count)
  return Uint8Array.from({ length: count }, (_, index) => type.read(view, offset + index * type.bytes, little))
}

/** The labels of one slice of the pictures, row by row, where the pictures run through the file's grid like that. */
export function sliceOf(file: Labels, grid: Pick<OwnGrid, 'axes' | 'flipped'>, slice: number): Uint8Array {
  const [first, rows, columns] = [0, 1, 2].map((axis) => run(file, grid, axis)) as [Run, Run, Run]
  const labels = new Uint8Array(rows.length * columns.length)
  for (let row = 0; row < rows.length; row++) {
    const line = first.at(slice) + rows.at(row)
    for (let column = 0; column < columns.length; column++) {
      labels[row * columns.length + column] = file.labels[line + columns.at(column)] ?? 0
    }
  }
  return labels
}

/** The labels of all slices of the pictures, one after the other. */
export function asShown(file: Labels, grid: Pick<OwnGrid, 'axes' | 'flipped'>): Uint8Array<ArrayBuffer> {
  const slices = run(file, grid, 0).length
  const all = new Uint8Array(file.labels.length)
  for (let slice = 0; slice < slices; slice++) all.set(sliceOf(file, grid, slice), (slice * all.length) / slices)
  return all
}

/** The way back: the pictures' labels in the order of the file. */
export function asStored(shown: Uint8Array, file: Labels, grid: Pick<OwnGrid, 'axes' | 'flipped'>): Uint8Array<ArrayBuffer> {
  const [slices, rows, columns] = [0, 1, 2].map((axis) => run(file, grid, axis)) as [Run, Run, Run]
  const stored = new Uint8Array(shown.length)
  let at = 0
  for (let slice = 0; slice < slices.length; slice++) {
    for (let row = 0; row < rows.length; row++) {
      const line = slices.at(slice) + rows.at(row)
      for (let column = 0; column < columns.length; column++) stored[line + columns.at(column)] = shown[at++] ?? 0
    }
  }
  return stored
}

/** The same file with other labels, in its order: all that its header says of where they lie stays as it was. */
export function withLabels(file: ArrayBuffer, labels: Uint8Array): Uint8Array<ArrayBuffer> {
  const other = new Uint8Array(VOXELS + labels.length)
  other.set(new Uint8Array(file, 0, HEADER))
  const header = new DataView(other.buffer)
  const little = header.getInt32(0, true) === HEADER
  header.setInt16(AT.type, UINT8, little)
  header.setInt16(AT.bits, 8, little)
  header.setFloat32(AT.offset, VOXELS, little)
  header.setFloat32(AT.slope, 1, little)
  header.setFloat32(AT.intercept, 0, little)
  other.set(labels, VOXELS)
  return other
}

/** How an axis of the pictures runs through the file. */
interface Run {
  length: number
  at: (index: number) => number
}

function run(file: Labels, { axes, flipped }: Pick<OwnGrid, 'axes' | 'flipped'>, axis: number): Run {
  const own = axes[axis] ?? axis
  const length = [file.slices, file.rows, file.columns][own] ?? 1
  const stride = [file.rows * file.columns, file.columns, 1][own] ?? 0
  return { length, at: (index) => (flipped[axis] ? length - 1 - index : index) * stride }
}

/** A file's grid that is the pictures' own. */
export const AS_STORED: Pick<OwnGrid, 'axes' | 'flipped'> = { axes: [0, 1, 2], flipped: [false, false, false] }
