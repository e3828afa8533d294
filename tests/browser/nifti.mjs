import { gunzipSync } from 'node:zlib'

/** Where NIfTI-1 has the lengths of its axes, what its voxels are, where they begin, and the row of its affine that counts millimetres to the right. */
const [LENGTHS, TYPE, OFFSET, TO_THE_RIGHT] = [42, 70, 108, 280]
const FLOAT32 = 16

/** The labels in a `.nii.gz`, the lengths of its slices, rows and columns, and its affine's first row. */
export function labelsIn(gzipped) {
  const file = gunzipSync(gzipped)
  const lengths = [0, 2, 4].map((at) => file.readInt16LE(LENGTHS + at)).reverse()
  const right = [0, 4, 8, 12].map((at) => file.readFloatLE(TO_THE_RIGHT + at))
  const voxels = file.subarray(file.readFloatLE(OFFSET))
  if (file.readInt16LE(TYPE) !== FLOAT32) return { lengths, right, labels: voxels }
  return { lengths, right, labels: Uint8Array.from({ length: voxels.length / 4 }, (_, index) => voxels.readFloatLE(4 * index)) }
}

/** Where a file has a voxel of the pictures: its own slice, row and column, as `own_grid` says. */
export function inFile(voxel, lengths, { axes, flipped }) {
  const own = [0, 0, 0]
  voxel.forEach((index, axis) => (own[axes[axis]] = flipped[axis] ? lengths[axes[axis]] - 1 - index : index))
  return own
}

/** Where a voxel is among those of a grid of such lengths. */
export function indexIn([, rows, columns], [slice, row, column]) {
  return (slice * rows + row) * columns + column
}

/** Where the middle of a pixel of the slice that is shown is on the screen. */
export function onScreen(page, { spacing_mm: [, down, across] }, row, column) {
  return page.getByTestId('slice').evaluate((svg, [x, y]) => {
    const { x: left, y: top } = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM())
    return [left, top]
  }, [(column + 0.5) * across, (row + 0.5) * down])
}
