/** Beyond any picture, and squared still a number. */
const FAR = 1e6

/**
 * The shape at a share of the way from one slice's to another's.
 *
 * It is made of how deep in either shape a pixel lies: where the two overlap it goes over from one to the other.
 */
export function between(
  one: Uint8Array,
  other: Uint8Array,
  share: number,
  columns: number,
  pixel: readonly [down: number, across: number],
): Uint8Array<ArrayBuffer> {
  const [first, second] = [one, other].map((shape) => depths(shape, columns, pixel)) as [Float64Array, Float64Array]
  return Uint8Array.from(first, (depth, at) => (depth * (1 - share) + (second[at] ?? 0) * share > 0 ? 1 : 0))
}

/** How far inside each pixel is from what is outside; outside it is below nought. */
export function depths(shape: Uint8Array, columns: number, pixel: readonly [number, number]): Float64Array {
  const [toOutside, toInside] = [0, 1].map((value) => distances(shape, value, columns, pixel)) as [Float64Array, Float64Array]
  return Float64Array.from(shape, (inside, at) => (inside ? (toOutside[at] ?? 0) : -(toInside[at] ?? 0)))
}

/** How far each pixel is from the nearest of that value: exact, first down each column and then along each row. */
function distances(shape: Uint8Array, value: number, columns: number, [down, across]: readonly [number, number]): Float64Array {
  const rows = shape.length / columns
  const squares = Float64Array.from(shape, (here) => ((here ? 1 : 0) === value ? 0 : FAR * FAR))
  for (let column = 0; column < columns; column++) line(squares, column, columns, rows, down)
  for (let row = 0; row < rows; row++) line(squares, row * columns, 1, columns, across)
  return squares.map(Math.sqrt)
}

/** Along one line, the lowest of the parabolas that stand on its pixels (Felzenszwalb and Huttenlocher, 2012). */
function line(squares: Float64Array, start: number, stride: number, length: number, size: number): void {
  const heights = Float64Array.from({ length }, (_, at) => squares[start + at * stride] ?? 0)
  const height = (at: number) => (heights[at] ?? 0) + (at * size) ** 2
  const feet: number[] = []
  /** From where on each is the lowest. */
  const from: number[] = []
  for (let foot = 0; foot < length; foot++) {
    let crossing = -Infinity
    while (feet.length > 0) {
      const last = feet.at(-1) ?? 0
      crossing = (height(foot) - height(last)) / (2 * size * size * (foot - last))
      if (crossing > (from.at(-1) ?? 0)) break
      feet.pop()
      from.pop()
      crossing = -Infinity
    }
    feet.push(foot)
    from.push(crossing)
  }
  let lowest = 0
  for (let at = 0; at < length; at++) {
    while ((from[lowest + 1] ?? Infinity) < at) lowest += 1
    const foot = feet[lowest] ?? 0
    squares[start + at * stride] = (heights[foot] ?? 0) + ((at - foot) * size) ** 2
  }
}
