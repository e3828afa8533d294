/**
 * Where pixels of that label meet others, as the data of an SVG path in pixels.
 *
 * It runs between pixels and so hides none of them.
 */
export function contourOf(labels: Uint8Array, columns: number, label: number): string {
  const rows = labels.length / columns
  const inside = (row: number, column: number) =>
    row >= 0 && row < rows && column >= 0 && column < columns && labels[row * columns + column] === label
  const across = runs(rows + 1, columns, (row, column) => inside(row - 1, column) !== inside(row, column))
  const down = runs(columns + 1, rows, (column, row) => inside(row, column - 1) !== inside(row, column))
  return [
    ...across.map(([row, from, to]) => `M${from} ${row}H${to}`),
    ...down.map(([column, from, to]) => `M${column} ${from}V${to}`),
  ].join('')
}

/** On each line the stretches of edges that hang together. */
function runs(lines: number, length: number, edge: (line: number, at: number) => boolean): [number, number, number][] {
  const found: [number, number, number][] = []
  for (let line = 0; line < lines; line++) {
    let from = -1
    for (let at = 0; at <= length; at++) {
      const here = at < length && edge(line, at)
      if (here && from < 0) from = at
      if (!here && from >= 0) {
        found.push([line, from, at])
        from = -1
      }
    }
  }
  return found
}
