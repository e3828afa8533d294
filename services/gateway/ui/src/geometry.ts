import type { Diameter, Finding, ImageFacts } from './api/result'
import type { Scan } from './api/scans'

/** Width and height of a slice: in mm where they are known, else in pixels. */
export function extentOf(scan: Scan, image: ImageFacts | undefined): [number, number] {
  const [, rows = 1, columns = 1] = scan.shape
  const [down, across] = pixelOf(image)
  return [columns * across, rows * down]
}

/** A diameter as a line over a picture of that extent. */
export function lineOf({ ends }: Diameter, image: ImageFacts | undefined) {
  const [down, across] = pixelOf(image)
  const [[row1, column1], [row2, column2]] = ends
  // Centres of pixels lie at whole numbers: the picture's edge is half a pixel before the first.
  const [x1, x2] = [column1, column2].map((column) => (column + 0.5) * across)
  const [y1, y2] = [row1, row2].map((row) => (row + 0.5) * down)
  return { x1, y1, x2, y2 }
}

/** A finding's box as a rectangle around its pixels. */
export function rectangleOf({ box }: Pick<Finding, 'box'>, image: ImageFacts | undefined) {
  const [down, across] = pixelOf(image)
  const [[, top, left], [, bottom, right]] = [box.from, box.to]
  return { x: left * across, y: top * down, width: (right - left) * across, height: (bottom - top) * down }
}

/** The middle of a pixel on a picture of that extent. */
export function middleOf({ row, column }: { row: number; column: number }, image: ImageFacts | undefined) {
  const [down, across] = pixelOf(image)
  return { x: (column + 0.5) * across, y: (row + 0.5) * down }
}

/** The pixel under a point of a picture of that extent; nothing beside it. */
export function pixelAt(
  [x, y]: readonly [number, number],
  [rows, columns]: readonly [number, number],
  image: ImageFacts | undefined,
): { row: number; column: number } | undefined {
  const [down, across] = pixelOf(image)
  const [row, column] = [Math.floor(y / down), Math.floor(x / across)]
  return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : undefined
}

/** How far a row and a column go. */
export function pixelOf(image: ImageFacts | undefined): [number, number] {
  const [, down, across] = image?.spacing_mm ?? [null, null, null]
  return down && across ? [down, across] : [1, 1]
}

/** The findings that a slice goes through. */
export function through(findings: readonly Finding[], slice: number): Finding[] {
  return findings.filter(({ box }) => box.from[0] <= slice && slice < box.to[0])
}
