import type { Grid } from '../drawing'
import { AS_STORED, asShown, asStored, labelsIn, withLabels } from '../nifti'
import { greyPng } from '../png'
import type { ImageFacts } from './result'
import { getArtefact } from './scans'
import { labelsOfPicture, maskFile } from './slices'

/** A mask as a file, named as the result's own is. */
export interface MaskFile {
  blob: Blob
  name: 'mask.nii.gz' | 'mask.png'
}

/** The result's own mask, to be drawn on. */
export interface OwnMask {
  /** In the order of the pictures: 1 in main findings, 2 in lesser ones. */
  labels: Uint8Array
  /** What is marked, in the same order, as a file on the very grid of the result's own. */
  file: (marked: Uint8Array) => Promise<MaskFile>
}

type Shape = Pick<Grid, 'slices' | 'rows' | 'columns'>

export async function getOwnMask(id: string, shape: Shape, image: Pick<ImageFacts, 'own_grid'>): Promise<OwnMask> {
  const own = shape.slices === 1 ? await ofPicture(id, shape) : await ofVolume(id, image)
  if (own.labels.length !== shape.slices * shape.rows * shape.columns) throw new Error('the mask is of another size')
  return own
}

async function ofPicture(id: string, { rows, columns }: Shape): Promise<OwnMask> {
  const labels = await labelsOfPicture(await getArtefact(id, 'mask.png'))
  return {
    labels,
    file: async (marked) => ({ blob: await greyPng(marked.map((here) => (here ? 255 : 0)), rows, columns), name: 'mask.png' }),
  }
}

async function ofVolume(id: string, image: Pick<ImageFacts, 'own_grid'>): Promise<OwnMask> {
  const stored = await maskFile(id)
  const labels = labelsIn(stored)
  const grid = image.own_grid ?? AS_STORED
  return {
    labels: asShown(labels, grid),
    file: async (marked) => ({ blob: await gzipped(withLabels(stored, asStored(marked, labels, grid))), name: 'mask.nii.gz' }),
  }
}

function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Blob> {
  return new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'))).blob()
}
