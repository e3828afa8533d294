import type { Finding } from './api/result'

/** A voxel of the pictures, counted from 0. */
export interface Voxel {
  slice: number
  row: number
  column: number
}

/** What is drawn on: the pictures, slice after slice and row after row. */
export interface Grid {
  slices: number
  rows: number
  columns: number
  /** How far it is from one slice, row and column to the next: in mm, or in pixels where that is not known. */
  voxel: readonly [number, number, number]
}

export type Tool = 'brush' | 'eraser' | 'fill' | 'remove'
export const TOOLS: readonly Tool[] = ['brush', 'eraser', 'fill', 'remove']

/** Diameters of brushes. */
export const BRUSHES = { mm: [1, 2, 3, 5, 8, 12, 20, 30], px: [1, 3, 5, 9, 15, 25, 41] } as const

/** Where a voxel is in a mask. */
export function indexOf({ rows, columns }: Pick<Grid, 'rows' | 'columns'>, { slice, row, column }: Voxel): number {
  return (slice * rows + row) * columns + column
}

export function voxelOf({ rows, columns }: Pick<Grid, 'rows' | 'columns'>, index: number): Voxel {
  const line = Math.floor(index / columns)
  return { slice: Math.floor(line / rows), row: line % rows, column: index % columns }
}

/** Where a brush of that diameter touches: those whose middle it reaches, and the one that it is on in any case. */
export function touched(grid: Grid, at: Voxel, diameter: number, deep: boolean): number[] {
  const [slice, row, column] = grid.voxel
  const radius = diameter / 2
  const found: number[] = []
  for (const z of around(at.slice, deep ? radius / slice : 0, grid.slices)) {
    for (const y of around(at.row, radius / row, grid.rows)) {
      for (const x of around(at.column, radius / column, grid.columns)) {
        const away = Math.hypot((z - at.slice) * slice, (y - at.row) * row, (x - at.column) * column)
        if (away <= radius || away === 0) found.push(indexOf(grid, { slice: z, row: y, column: x }))
      }
    }
  }
  return found
}

function* around(middle: number, reach: number, length: number): Generator<number> {
  const [from, to] = [Math.max(0, Math.ceil(middle - reach)), Math.min(length - 1, Math.floor(middle + reach))]
  for (let at = from; at <= to; at++) yield at
}

/** The pixels on the way from one to another of a slice, the first left out: however fast a hand was, its line has no gaps. */
export function way(from: Voxel, to: Voxel): Voxel[] {
  const [down, across] = [to.row - from.row, to.column - from.column]
  const steps = Math.max(Math.abs(down), Math.abs(across), 1)
  return Array.from({ length: steps }, (_, step) => {
    const share = (step + 1) / steps
    return { slice: to.slice, row: Math.round(from.row + down * share), column: Math.round(from.column + across * share) }
  })
}

type Step = readonly [slice: number, row: number, column: number]

/** All voxels around one, or those that share a face with it. */
function steps(deep: boolean, corners: boolean): Step[] {
  const one = [-1, 0, 1]
  const all = (deep ? one : [0]).flatMap((z) => one.flatMap((y) => one.map((x) => [z, y, x] as const)))
  return all.filter((step) => {
    const length = step.reduce<number>((sum, by) => sum + Math.abs(by), 0)
    return corners ? length > 0 : length === 1
  })
}

/** Whatever hangs together with a voxel and has its value; `within` ends it, with nothing, at the first that it refuses. */
function region(values: Uint8Array, grid: Grid, at: Voxel, by: readonly Step[], within: (voxel: Voxel) => boolean): number[] | undefined {
  const start = indexOf(grid, at)
  const value = values[start]
  const seen = new Uint8Array(values.length)
  const found = [start]
  seen[start] = 1
  for (let next = 0; next < found.length; next++) {
    const here = voxelOf(grid, found[next] ?? 0)
    if (!within(here)) return undefined
    for (const [slice, row, column] of by) {
      const voxel = { slice: here.slice + slice, row: here.row + row, column: here.column + column }
      if (!isInside(grid, voxel)) continue
      const index = indexOf(grid, voxel)
      if (seen[index] || values[index] !== value) continue
      seen[index] = 1
      found.push(index)
    }
  }
  return found
}

export function isInside({ slices, rows, columns }: Pick<Grid, 'slices' | 'rows' | 'columns'>, { slice, row, column }: Voxel): boolean {
  return slice >= 0 && slice < slices && row >= 0 && row < rows && column >= 0 && column < columns
}

/**
 * What is enclosed around a voxel that is not marked; nothing where it is open to the edge.
 *
 * Across corners nothing leaks out: regions hang together there.
 */
export function enclosed(marked: Uint8Array, grid: Grid, at: Voxel, deep: boolean): number[] | undefined {
  const ends = deep && grid.slices > 1
  const within = ({ slice, row, column }: Voxel) =>
    row > 0 && row < grid.rows - 1 && column > 0 && column < grid.columns - 1 && (!ends || (slice > 0 && slice < grid.slices - 1))
  return region(marked, grid, at, steps(ends, false), within)
}

/** The region around a voxel that is marked, in its slice or through all of them. */
export function together(marked: Uint8Array, grid: Grid, at: Voxel, deep: boolean): number[] {
  return region(marked, grid, at, steps(deep, true), () => true) ?? []
}

/** The voxels of a finding among the labels of the result's mask: of two whose boxes overlap, those that are its own. */
export function voxelsOf(labels: Uint8Array, grid: Grid, { role, box, voxels }: Pick<Finding, 'role' | 'box' | 'voxels'>): number[] {
  const label = role === 'lesser' ? 2 : 1
  const seen = new Set<number>()
  for (let slice = box.from[0]; slice < box.to[0]; slice++) {
    for (let row = box.from[1]; row < box.to[1]; row++) {
      for (let column = box.from[2]; column < box.to[2]; column++) {
        const index = indexOf(grid, { slice, row, column })
        if (labels[index] !== label || seen.has(index)) continue
        const found = together(labels, grid, { slice, row, column }, true)
        if (found.length === voxels && spans(grid, found, box)) return found
        found.forEach((one) => seen.add(one))
      }
    }
  }
  return []
}

function spans(grid: Grid, indexes: readonly number[], box: Finding['box']): boolean {
  const [from, to] = [[Infinity, Infinity, Infinity], [-1, -1, -1]]
  for (const index of indexes) {
    const { slice, row, column } = voxelOf(grid, index)
    ;[slice, row, column].forEach((at, axis) => {
      from[axis] = Math.min(from[axis] ?? 0, at)
      to[axis] = Math.max(to[axis] ?? 0, at + 1)
    })
  }
  return box.from.every((at, axis) => at === from[axis]) && box.to.every((at, axis) => at === to[axis])
}
