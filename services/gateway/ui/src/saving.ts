import { shortId } from './words'

/** Saves something of a scan, under the scan's name and never a patient's: a link alone could not send the token. */
export function save(blob: Blob, scan: string, name: string): void {
  saveAs(blob, `scan-${shortId(scan)}-${name}`)
}

/** Saves something under a name. */
export function saveAs(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
