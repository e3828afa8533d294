import type { Scan } from './api/scans'

/** Scans of one list that belong together: of one study, or sent in one batch. */
export interface Group {
  key: string
  by: 'study' | 'batch'
  /** In the order of the list; two at least. */
  scans: Scan[]
}

/** A row of the list: one scan, or several. */
export type Row = { scan: Scan; group?: undefined } | { group: Group; scan?: undefined }

/** The list with what belongs together in one row, where the first of it stands. A study says more than how it was sent. */
export function together(list: readonly Scan[]): Row[] {
  const groups = new Map<string, Group>()
  for (const scan of list) {
    const found = keyOf(scan)
    if (!found) continue
    const group = groups.get(found.key) ?? { ...found, scans: [] }
    group.scans.push(scan)
    groups.set(found.key, group)
  }
  const rows: Row[] = []
  for (const scan of list) {
    const group = groups.get(keyOf(scan)?.key ?? '')
    if (!group || group.scans.length < 2) rows.push({ scan })
    else if (group.scans[0] === scan) rows.push({ group })
  }
  return rows
}

/** The first scan of a row: by its time the row stands in the list. */
export function firstOf({ scan, group }: Row): Scan | undefined {
  return scan ?? group?.scans[0]
}

function keyOf({ study, batch }: Scan): Pick<Group, 'key' | 'by'> | undefined {
  if (study) return { key: `study:${study}`, by: 'study' }
  return batch ? { key: `batch:${batch}`, by: 'batch' } : undefined
}

/** What may be done with a scan of a list, besides deleting it. */
export function offeredFor({ state, answer, priority }: Pick<Scan, 'state' | 'answer' | 'priority'>): 'urgent' | 'routine' | 'retry' | undefined {
  if (state === 'queued') return priority === 'stat' ? 'routine' : 'urgent'
  return answer === 'failed' || answer === 'not_analysable' ? 'retry' : undefined
}
