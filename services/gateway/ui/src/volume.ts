import type { Plane } from './api/types'
import type { Mask } from './api/slices'

/** A NIfTI-1 file of medseg's own: a header of so many bytes, little-endian, then voxels. */
const HEADER = 352
const AT = { dimensions: 40, type: 70, bits: 72, spacing: 76, sform: 254, rows: 280 }
const UINT8 = 2

/** Rows of the matrix that leads from (column, row, slice) to millimetres: to the patient's right, front and head. */
export type Affine = readonly [Row, Row, Row]
type Row = readonly [number, number, number, number]
export type Place = readonly [x: number, y: number, z: number]

/** Slices, rows, columns. */
export function shapeOf(file: ArrayBuffer): [number, number, number] {
  const view = new DataView(file)
  const length = (axis: number) => view.getInt16(AT.dimensions + 2 * axis, true)
  return [length(3), length(2), length(1)]
}

/**
 * The file with a place in the patient, where it has none: as if its slices were axial and shown as radiologists look at them, so that
 * a viewer shows them the way the pictures do. Which side is which stays unknown.
 */
export function placed(file: ArrayBuffer): ArrayBuffer {
  const view = new DataView(file)
  if (view.getInt16(AT.sform, true) > 0) return file
  const [across, down, deep] = [1, 2, 3].map((axis) => view.getFloat32(AT.spacing + 4 * axis, true) || 1) as [number, number, number]
  const rows = [
    [-across, 0, 0, 0],
    [0, -down, 0, 0],
    [0, 0, deep, 0],
  ]
  const copy = file.slice(0)
  const into = new DataView(copy)
  into.setInt16(AT.sform, 1, true)
  rows.flat().forEach((value, at) => into.setFloat32(AT.rows + 4 * at, value, true))
  return copy
}

export function affineOf(file: ArrayBuffer): Affine {
  const view = new DataView(file)
  const row = (at: number) => [0, 1, 2, 3].map((column) => view.getFloat32(AT.rows + 16 * at + 4 * column, true)) as unknown as Row
  return [row(0), row(1), row(2)]
}

/** Where a voxel's middle is in the patient. */
export function pointOf(affine: Affine, [column, row, slice]: Place): Place {
  const at = ([x, y, z, offset]: Row) => x * column + y * row + z * slice + offset
  return [at(affine[0]), at(affine[1]), at(affine[2])]
}

/** The way back: (column, row, slice), between voxels too; nothing where the matrix has none. */
export function placeOf(affine: Affine, point: Place): Place | undefined {
  const [a, b, c] = affine.map(([x, y, z]) => [x, y, z]) as unknown as [Place, Place, Place]
  const d = affine.map((row, axis) => (point[axis] ?? 0) - row[3]) as unknown as Place
  const whole = determinant(a, b, c)
  if (!whole) return undefined
  // Cramer's rule: each column of the matrix in turn gives way to what is wanted.
  const solved = [0, 1, 2].map((column) => {
    const given = (row: Place, value: number) => row.map((x, at) => (at === column ? value : x)) as unknown as Place
    return determinant(given(a, d[0]), given(b, d[1]), given(c, d[2])) / whole
  })
  return solved as unknown as Place
}

function determinant(a: Place, b: Place, c: Place): number {
  return (
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
  )
}

/** The labels as a file on the same grid as a volume's. */
export function labelsLike(file: ArrayBuffer, labels: Mask): ArrayBuffer {
  const [slices, rows, columns] = shapeOf(file)
  const made = new ArrayBuffer(HEADER + slices * rows * columns)
  const bytes = new Uint8Array(made)
  bytes.set(new Uint8Array(file, 0, HEADER))
  const view = new DataView(made)
  view.setInt16(AT.type, UINT8, true)
  view.setInt16(AT.bits, 8, true)
  for (let slice = 0; slice < slices; slice++) bytes.set(labels(slice), HEADER + slice * rows * columns)
  return made
}

/** How many slices a volume has in each plane, when its own, shown as radiologists do, lie in that one. */
export function cutsOf(own: Plane, [slices = 0, rows = 0, columns = 0]: readonly number[]): Record<Plane, number> {
  switch (own) {
    case 'axial':
      return { axial: slices, coronal: rows, sagittal: columns }
    case 'coronal':
      return { axial: rows, coronal: slices, sagittal: columns }
    case 'sagittal':
      return { axial: rows, coronal: columns, sagittal: slices }
  }
}
