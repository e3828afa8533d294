import { png } from './png.mjs'

/**
 * A made-up slice through a head, for a page that runs without a network that would judge it.
 *
 * Returns the plain picture, the picture with a contour and its box, and the mask; all PNG.
 */
export function phantom({ size = 256, tumour = true, seed = 1 } = {}) {
  const random = randomOf(seed)
  const lesions = tumour ? lesionsOf(random) : []
  const grey = new Uint8Array(size * size)
  const inside = new Uint8Array(size * size)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = (2 * column) / (size - 1) - 1
      const y = (2 * row) / (size - 1) - 1
      const label = 1 + lesions.findIndex((lesion) => lesion(x, y))
      const value = tissue(x, y) + (label ? 0.3 : 0)
      grey[row * size + column] = clamp(255 * (value + 0.035 * (random() - 0.5)))
      inside[row * size + column] = label
    }
  }
  return {
    image: png(size, size, 1, grey),
    overlay: png(size, size, 3, outlined(grey, inside, size)),
    mask: png(size, size, 1, inside.map((label) => (label ? 255 : 0))),
  }
}

/** The colours of contour and box, as in the real overlay. */
export const OUTLINE = [255, 205, 0]
export const BOX = [60, 190, 255]

function lesionsOf(random) {
  const [cx, cy] = [0.28 + 0.1 * random(), -0.1 + 0.2 * random()]
  const radius = 0.14 + 0.06 * random()
  const blob = (x, y) => {
    const angle = Math.atan2(y - cy, x - cx)
    const edge = radius * (1 + 0.18 * Math.sin(3 * angle + 1) + 0.08 * Math.cos(5 * angle))
    return Math.hypot(x - cx, (y - cy) * 0.85) < edge
  }
  const small = (x, y) => Math.hypot(x + 0.3, y - 0.25) < 0.055
  return [blob, small]
}

function tissue(x, y) {
  const head = ellipse(x, y, 0, 0, 0.72, 0.88)
  if (head > 1) return 0.02
  if (head > 0.93) return 0.55
  if (head > 0.85) return 0.1
  const ventricle = Math.min(ellipse(x, y, 0.12, -0.05, 0.07, 0.24), ellipse(x, y, -0.12, -0.05, 0.07, 0.24))
  if (ventricle < 1) return 0.12
  if (Math.abs(x) < 0.008) return 0.2
  const folds = 0.06 * Math.sin(17 * x + 5 * Math.sin(6 * y)) * Math.sin(15 * y + 4 * Math.sin(7 * x))
  return 0.38 + folds + (head > 0.6 ? 0.08 : 0)
}

function ellipse(x, y, cx, cy, a, b) {
  return Math.hypot((x - cx) / a, (y - cy) / b)
}

function outlined(grey, inside, size) {
  const pixels = new Uint8Array(3 * size * size)
  grey.forEach((value, at) => pixels.fill(value, 3 * at, 3 * at + 3))
  const paint = (row, column, colour) => pixels.set(colour, 3 * (row * size + column))
  const boxes = new Map()
  for (let at = size; at < size * (size - 1); at++) {
    const label = inside[at]
    if (!label) continue
    const [row, column] = [Math.floor(at / size), at % size]
    const [top, left, bottom, right] = boxes.get(label) ?? [row, column, row, column]
    boxes.set(label, [Math.min(top, row), Math.min(left, column), Math.max(bottom, row), Math.max(right, column)])
    if ([at - 1, at + 1, at - size, at + size].some((beside) => !inside[beside])) paint(row, column, OUTLINE)
  }
  for (const [top, left, bottom, right] of boxes.values()) {
    for (let column = left - 4; column <= right + 4; column++) [top - 4, bottom + 4].forEach((row) => paint(row, column, BOX))
    for (let row = top - 4; row <= bottom + 4; row++) [left - 4, right + 4].forEach((column) => paint(row, column, BOX))
  }
  return pixels
}

function clamp(value) {
  return Math.max(0, Math.min(255, Math.round(value)))
}

// A small generator of its own: the same seed gives the same picture everywhere.
function randomOf(seed) {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
