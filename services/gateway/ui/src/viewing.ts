/** The values that are shown as black and as white. */
export type Window = readonly [low: number, high: number]

/** How a picture lies on its stage: how much larger than would fit, and which point of it is in the middle. */
export interface Look {
  zoom: number
  /** In the unit of the picture's extent; nothing: its own middle. */
  centre: Point | undefined
}

export type Point = readonly [x: number, y: number]
export type Size = readonly [width: number, height: number]

export const FITTED: Look = { zoom: 1, centre: undefined }
const ZOOM_MOST = 16
/** A window becomes e times as wide over so many pixels, and is passed once over so many. */
const WIDER_PX = 200
const PASSED_PX = 300

/** The part of the picture that the stage shows. */
export interface Part {
  x: number
  y: number
  width: number
  height: number
  /** Pixels of the screen for one unit of the picture. */
  scale: number
}

export function partOf(look: Look, extent: Size, stage: Size): Part {
  const fit = Math.min(stage[0] / extent[0], stage[1] / extent[1])
  // Before the stage is laid out it has no size.
  const scale = fit > 0 && Number.isFinite(fit) ? fit * look.zoom : 1
  const [width, height] = [(stage[0] || extent[0]) / scale, (stage[1] || extent[1]) / scale]
  const [x, y] = look.centre ?? middleOf(extent)
  return { x: x - width / 2, y: y - height / 2, width, height, scale }
}

/** The point of the picture under one of the stage's. */
export function pointAt(part: Part, [x, y]: Point): Point {
  return [part.x + x / part.scale, part.y + y / part.scale]
}

/** Larger or smaller, with the point under `at` (of the stage) where it is. */
export function zoomed(look: Look, factor: number, at: Point, extent: Size, stage: Size): Look {
  const zoom = clamp(look.zoom * factor, 1, ZOOM_MOST)
  if (zoom === 1) return FITTED
  const [kept, part] = [pointAt(partOf(look, extent, stage), at), partOf({ ...look, zoom }, extent, stage)]
  const centre: Point = [kept[0] + (stage[0] / 2 - at[0]) / part.scale, kept[1] + (stage[1] / 2 - at[1]) / part.scale]
  return { zoom, centre: within(centre, extent) }
}

/** Moved along by so many pixels of the screen. */
export function panned(look: Look, [dx, dy]: Point, extent: Size, stage: Size): Look {
  if (look.zoom === 1) return look
  const { scale } = partOf(look, extent, stage)
  const [x, y] = look.centre ?? middleOf(extent)
  return { ...look, centre: within([x - dx / scale, y - dy / scale], extent) }
}

function middleOf(extent: Size): Point {
  return [extent[0] / 2, extent[1] / 2]
}

/** No part of the picture is so far away that nobody finds it again. */
function within([x, y]: Point, extent: Size): Point {
  return [clamp(x, 0, extent[0]), clamp(y, 0, extent[1])]
}

/** A drag to the right widens the window, one upwards makes the picture brighter. */
export function dragged([low, high]: Window, dx: number, dy: number): Window {
  const width = (high - low) * Math.exp(dx / WIDER_PX)
  const level = (low + high) / 2 + ((high - low) * dy) / PASSED_PX
  return [level - width / 2, level + width / 2]
}

/** Two fingers that moved so far have shown what they do. */
const SHOWN_PX = 12

/**
 * What two fingers do: apart or together they zoom, side by side they set the window, as a drag of the right button does. Nothing
 * while that does not show yet.
 */
export function twoFingers(
  begun: readonly [Point, Point],
  now: readonly [Point, Point],
): 'zoom' | 'window' | undefined {
  const apart = ([[x1, y1], [x2, y2]]: readonly [Point, Point]) => Math.hypot(x1 - x2, y1 - y2)
  const [spread, moved] = [
    Math.abs(apart(now) - apart(begun)),
    Math.hypot((now[0][0] + now[1][0] - begun[0][0] - begun[1][0]) / 2, (now[0][1] + now[1][1] - begun[0][1] - begun[1][1]) / 2),
  ]
  if (Math.max(spread, moved) < SHOWN_PX) return undefined
  return spread >= moved ? 'zoom' : 'window'
}

/** A line that somebody has drawn over a slice, in the unit of the picture's extent. */
export interface Measure {
  slice: number
  from: Point
  to: Point
}

export function lengthOf({ from, to }: Measure): number {
  return Math.hypot(to[0] - from[0], to[1] - from[1])
}

/** How a picture made by one window is made to look as by another, on a scale of 0 to 1. */
export function stretchOf(made: Window, wanted: Window, inverted: boolean): { slope: number; intercept: number } {
  const width = wanted[1] - wanted[0]
  const [slope, intercept] = [(made[1] - made[0]) / width, (made[0] - wanted[0]) / width]
  return inverted ? { slope: -slope, intercept: 1 - intercept } : { slope, intercept }
}

export type Preset = 'own' | 'soft' | 'hard' | 'bright' | 'dark' | 'brain' | 'subdural' | 'bone'

/** In Hounsfield units, as everybody sets them. */
const CT: Partial<Record<Preset, Window>> = { brain: [0, 80], subdural: [-25, 175], bone: [-1000, 2000] }

/** Windows to choose from: voxels of MR have no unit, so those are made from the scan's own. */
export function presetsOf([low, high]: Window, modality: string | null | undefined): { name: Preset; window: Window }[] {
  const width = high - low
  const own: [Preset, Window][] = [
    ['own', [low, high]],
    ['soft', [low - width / 2, high + width / 2]],
    ['hard', [low + width / 4, high - width / 4]],
    ['bright', [low - width / 4, high - width / 4]],
    ['dark', [low + width / 4, high + width / 4]],
  ]
  const all = modality === 'CT' ? [...own, ...(Object.entries(CT) as [Preset, Window][])] : own
  return all.map(([name, window]) => ({ name, window }))
}

/** As an address and a caption have it: six figures are more than a screen shows. */
export function written(value: number): string {
  return String(Number(value.toPrecision(6)))
}

/** A window as the server says it, such as `0,400`. */
export function windowIn(words: string | null): Window | undefined {
  const [low, high] = (words ?? '').split(',').map(Number)
  return low !== undefined && high !== undefined && low < high ? [low, high] : undefined
}

export function sameWindow(one: Window | undefined, other: Window | undefined): boolean {
  return one?.map(written).join() === other?.map(written).join()
}

const LENGTHS_MM = [200, 100, 50, 20, 10, 5, 2, 1]

/** The length of a scale's bar: the longest that is no longer than so many pixels. */
export function scaleLength(pixels_per_mm: number, most_px: number): number | undefined {
  return LENGTHS_MM.find((length) => length * pixels_per_mm <= most_px)
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
