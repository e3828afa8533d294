import { AS_STORED, labelsIn, sliceOf, unpacked } from '../nifti'
import { windowIn, written, type Window } from '../viewing'
import { request } from './http'
import type { ImageFacts } from './result'
import { getArtefact, pathOf } from './scans'
import type { Plane } from './types'

/** One slice as a picture, and the window by which it was made. */
export interface SlicePicture {
  blob: Blob
  window: Window
}

export async function getSlice(
  id: string,
  slice: number,
  window: Window | undefined,
  signal: AbortSignal,
): Promise<SlicePicture> {
  const query = window ? `?window=${encodeURIComponent(window.map(written).join(','))}` : ''
  // Voxels never change: what the browser has need not come again.
  const response = await request(`${pathOf(id)}/slices/${slice}.png${query}`, { signal, cache: 'default' })
  const made = windowIn(response.headers.get('x-window')) ?? window ?? [0, 255]
  return { blob: await response.blob(), window: made }
}

/** One slice in a plane of the patient. */
export interface Cut {
  blob: Blob
  /** How high a pixel is for its width. */
  aspect: number
  /** What of the patient is at the left, right, upper and lower edge. */
  sides: readonly string[]
}

export async function getCut(id: string, plane: Plane, slice: number, window: Window | undefined, signal: AbortSignal): Promise<Cut> {
  const asked = new URLSearchParams({ plane, ...(window && { window: window.map(written).join(',') }) })
  const response = await request(`${pathOf(id)}/slices/${slice}.png?${asked}`, { signal, cache: 'default' })
  const aspect = Number(response.headers.get('x-pixel-aspect')) || 1
  const sides = response.headers.get('x-sides')?.split(',') ?? []
  return { blob: await response.blob(), aspect, sides }
}

/** The scan's volume, as NIfTI on the grid of its pictures. */
export async function getVolume(id: string, signal: AbortSignal): Promise<ArrayBuffer> {
  // A browser that has it asks whether its reader may still see it.
  return (await request(`${pathOf(id)}/volume.nii`, { signal, cache: 'default' })).arrayBuffer()
}

/** The labels of a slice of the pictures: 1 in main findings, 2 in lesser ones. */
export type Mask = (slice: number) => Uint8Array

/** The scan's mask. Of a volume it is in the file's own grid, which the result's `own_grid` leads out of. */
export async function getMask(id: string, slices: number, image: ImageFacts): Promise<Mask> {
  if (slices === 1) {
    const labels = await labelsOfPicture(await getArtefact(id, 'mask.png'))
    return () => labels
  }
  const file = labelsIn(await maskFile(id))
  const grid = image.own_grid ?? AS_STORED
  const { shape } = image
  if (file.labels.length !== shape.slices * shape.rows * shape.columns) throw new Error('the mask is of another size')
  return (slice) => sliceOf(file, grid, slice)
}

/** A volume's mask as its file is, unpacked. */
export async function maskFile(id: string): Promise<ArrayBuffer> {
  return unpacked(await (await request(`${pathOf(id)}/mask.nii.gz`)).blob())
}

/** The labels in a mask of one slice. */
export async function labelsOfPicture(picture: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: 'none' })
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
  if (!context) throw new Error('this browser cannot read pictures')
  context.drawImage(bitmap, 0, 0)
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
  // Main findings are white (255) there, lesser ones grey (127).
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => labelOf(data[4 * at] ?? 0))
}

function labelOf(grey: number): number {
  if (grey > 191) return 1
  return grey > 63 ? 2 : 0
}
