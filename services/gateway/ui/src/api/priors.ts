import { request } from './http'
import type { ImageKind } from './result'
import { pathOf, type Scan } from './scans'

/** An earlier scan of the same patient, and what its image was read as. */
export interface Prior extends Scan {
  kind: ImageKind
}

/** More are nobody's to scroll through. */
const PRIORS_MOST = 50

/** Those that were sent last; for whoever may know whose scans are. */
export async function listPriors(id: string, signal: AbortSignal): Promise<Prior[]> {
  const response = await request(`${pathOf(id)}/priors?limit=${PRIORS_MOST}`, { signal })
  return ((await response.json()) as { priors: Prior[] }).priors
}

/** The scans of a DICOM study, newest first; for whoever may know whose scans are. */
export async function listStudy(study_uid: string, signal: AbortSignal): Promise<Scan[]> {
  const query = new URLSearchParams({ study_uid, limit: String(PRIORS_MOST) })
  return ((await (await request(`v1/scans?${query}`, { signal })).json()) as { scans: Scan[] }).scans
}
