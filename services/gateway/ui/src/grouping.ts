import type { DicomHeader } from './dicom'
import type { Chosen } from './files'
import { natural, saysMask, series, twin } from './names'
import { count } from './units'
import { words } from './words/table'
import { filesIn } from './zip'

/** Files that are one scan together. */
export interface FoundScan {
  files: File[]
  /** What it is, as in `one series, MR, 24 slices`. */
  words: string
  /** What is in it, where it is a zip, in words of their own: it is sent as a whole. */
  holds?: readonly string[]
}

/** Why files are not sent. */
export type Left = 'mask' | 'no image' | 'report' | 'picture'

export interface Found {
  scans: FoundScan[]
  left: { path: string; why: Left }[]
}

type Kind = 'DICOM' | 'NIfTI' | 'PNG' | 'JPEG' | 'TIFF' | 'WebP' | 'zip' | 'gzip'

interface Looked extends Chosen {
  /** What stands in it, in spite of a compression. */
  kind: Kind | undefined
  dicom: DicomHeader | undefined
  /** What is in it, where it is a zip that is read here. */
  inside: Found | undefined
}

/** Enough of a file to tell what it is and, of most DICOM files, which series it belongs to. */
const HEAD_BYTES = 64 * 1024
/** Of a DICOM file whose header is longer than that: one with many references, or much that only its maker reads. */
const HEAD_BYTES_MAX = 4 * 1024 * 1024
const AT_ONCE = 16
const PICTURES = new Set<Kind>(['PNG', 'JPEG', 'TIFF', 'WebP'])
/** SOP classes of what is no slice: reports, presentation states, documents, directories, segmentations. */
const NO_SLICE = /^1\.2\.840\.10008\.(1\.3\.10$|5\.1\.4\.1\.1\.(88|11|104|9|481|66|67|30)(\.|$)|5\.1\.4\.1\.1\.4\.2$)/

/** What the chosen files are, and which of them are one scan, looked at as the server will. */
export function grouped(chosen: readonly Chosen[]): Promise<Found> {
  return groupedFrom(chosen, true)
}

/** Whether a file is a zip, of which nobody knows what it holds. */
export async function isZip(file: Blob): Promise<boolean> {
  const head = await file.slice(0, 4).arrayBuffer().catch(() => new ArrayBuffer(0))
  return kindOf(new Uint8Array(head)) === 'zip'
}

/** How many scans that makes. */
export function countOf(scans: readonly FoundScan[]): number {
  return scans.reduce((sum, { holds }) => sum + Math.max(1, holds?.length ?? 1), 0)
}

/** With `opening`, zips are looked into: one that lies in a zip is not, for it may lie in it without end. */
async function groupedFrom(chosen: readonly Chosen[], opening: boolean): Promise<Found> {
  const content = chosen.filter(({ path }) => isContent(path))
  const looked: Looked[] = []
  for (let at = 0; at < content.length; at += AT_ONCE) {
    looked.push(...(await Promise.all(content.slice(at, at + AT_ONCE).map((one) => look(one, opening)))))
  }
  return sorted(looked.sort((a, b) => natural(a.path, b.path)))
}

function isContent(path: string): boolean {
  const parts = path.split(/[/\\]/)
  const file = parts.at(-1) ?? ''
  return !/^(\.|thumbs\.db$|desktop\.ini$)/i.test(file) && !parts.includes('__MACOSX')
}

async function look({ file, path }: Chosen, opening: boolean): Promise<Looked> {
  const head = await file.slice(0, HEAD_BYTES).arrayBuffer()
  const stored = kindOf(new Uint8Array(head))
  const kind = (stored === 'gzip' && kindOf(await unpacked(head))) || stored
  const dicom = kind === 'DICOM' && stored === kind ? await headerOf(file, head) : undefined
  return { file, path, kind, dicom, inside: kind === 'zip' && opening ? await insideOf(file) : undefined }
}

async function insideOf(zip: File): Promise<Found | undefined> {
  const files = await filesIn(zip)
  return files && groupedFrom(files, false)
}

/** Nothing where it cannot be read here: the server reads it all the same. */
async function headerOf(file: File, head: ArrayBuffer): Promise<DicomHeader | undefined> {
  // The reader is a chunk of its own: most files are none of DICOM.
  const reader = await import('./dicom').catch(() => undefined)
  const header = await reader?.dicomHeader(head)
  if (!reader || header?.whole || file.size <= HEAD_BYTES) return header
  return reader.dicomHeader(await file.slice(0, HEAD_BYTES_MAX).arrayBuffer())
}

/** The beginning of what a gzip file holds, whose own beginning this is; nothing where it is broken. */
async function unpacked(head: ArrayBuffer): Promise<Uint8Array> {
  const reader = new Blob([head]).stream().pipeThrough(new DecompressionStream('gzip')).getReader()
  try {
    const { value } = await reader.read()
    return value ?? new Uint8Array()
  } catch {
    // The server says what is wrong with it.
    return new Uint8Array()
  } finally {
    // What is cut off here is no fault of the file.
    reader.cancel().catch(() => undefined)
  }
}

/** By what stands in it, never by its name. */
export function kindOf(head: Uint8Array): Kind | undefined {
  const begins = (bytes: number[], at = 0) => bytes.every((byte, index) => head[at + index] === byte)
  if (begins([0x44, 0x49, 0x43, 0x4d], 128)) return 'DICOM'
  if (begins([0x89, 0x50, 0x4e, 0x47])) return 'PNG'
  if (begins([0xff, 0xd8, 0xff])) return 'JPEG'
  if (begins([0x49, 0x49, 42, 0]) || begins([0x4d, 0x4d, 0, 42])) return 'TIFF'
  if (begins([0x52, 0x49, 0x46, 0x46]) && begins([0x57, 0x45, 0x42, 0x50], 8)) return 'WebP'
  if (begins([0x50, 0x4b, 3, 4])) return 'zip'
  if (begins([0x1f, 0x8b])) return 'gzip'
  if (begins([0x6e, 0x2b], 344) || begins([0x6e, 0x69], 344) || begins([0x6e, 0x2b, 0x32], 4)) return 'NIfTI'
  // A data set without its preamble begins with group 2 or 8.
  if ((begins([8, 0]) || begins([2, 0])) && (head[2] ?? 0xff) <= 0x70 && head[3] === 0) return 'DICOM'
  return undefined
}

function sorted(files: readonly Looked[]): Found {
  const left: Found['left'] = []
  const leave = (looked: readonly Looked[], why: Left) => left.push(...looked.map(({ path }) => ({ path, why })))
  leave(files.filter(({ kind }) => !kind), 'no image')
  const isReport = ({ dicom }: Looked) => dicom !== undefined && NO_SLICE.test(dicom.sopClass)
  const dicom = files.filter(({ kind }) => kind === 'DICOM')
  const slices = dicom.filter((file) => !isReport(file))
  leave(dicom.filter(isReport), 'report')
  const isVolume = ({ kind }: Looked) => kind === 'NIfTI' || kind === 'gzip'
  const labels = masksOf(files.filter(isVolume))
  leave(labels, 'mask')
  const others = files.filter((file) => (isVolume(file) && !labels.includes(file)) || file.kind === 'zip')
  const pictures = files.filter(({ kind }) => kind && PICTURES.has(kind))
  const images = new Set(pictures.filter(({ path }) => !saysMask(path)).map(({ path }) => twin(path)))
  const isMask = ({ path }: Looked) => saysMask(path) && images.has(twin(path))
  const scans = [...seriesOf(slices), ...others.map(aloneIn)]
  // Beside a scanner's own files, pictures are a viewer's.
  if (slices.length > 0) leave(pictures, 'picture')
  else {
    leave(pictures.filter(isMask), 'mask')
    scans.push(...runsOf(pictures.filter((file) => !isMask(file))))
  }
  return { scans, left }
}

/** Volumes whose names say that they are masks, beside those that they belong to: `case_1-seg` beside `case_1-t1c`. */
function masksOf(volumes: readonly Looked[]): Looked[] {
  const images = volumes.filter(({ path }) => !saysMask(path)).map(({ path }) => twin(path))
  return volumes.filter(({ path }) => saysMask(path) && images.some((image) => `${image} `.startsWith(`${twin(path)} `)))
}

function seriesOf(slices: readonly Looked[]): FoundScan[] {
  const found = new Map<string, Looked[]>()
  for (const slice of slices) {
    const { patient = '', study = '', series: uid = '' } = slice.dicom ?? {}
    // What could not be read here, or says no series, goes together: the server reads it, and shares it out.
    const key = [patient, study, uid].join('\n')
    found.set(key, [...(found.get(key) ?? []), slice])
  }
  return [...found.values()].map((looked) => {
    const files = looked.map(({ file }) => file)
    const dicom = looked[0]?.dicom
    if (!dicom) return { files, words: words.sending.unread(count(files.length)) }
    const frames = looked.reduce((sum, { dicom }) => sum + (dicom?.frames ?? 1), 0)
    return { files, words: inWords(frames, calledBy(dicom), 'DICOM') }
  })
}

/** Characters of what a scanner calls a series: more say nothing more. */
const DESCRIPTION_CHARS_MAX = 40

/** What a series is, as in `FLAIR, axial`; without a description its modality. */
function calledBy({ description, modality, plane }: DicomHeader): string | undefined {
  const called = description.slice(0, DESCRIPTION_CHARS_MAX) || modality
  return [called, plane && words.sending.planes[plane]].filter(Boolean).join(', ') || undefined
}

function runsOf(pictures: readonly Looked[]): FoundScan[] {
  return series(pictures.map(({ path }) => path)).map((run) => {
    const files = run.flatMap((index) => pictures[index] ?? [])
    return { files: files.map(({ file }) => file), words: inWords(files.length, undefined, files[0]?.kind) }
  })
}

function aloneIn(file: Looked): FoundScan {
  const scan = { files: [file.file], words: alone(file) }
  return file.inside ? { ...scan, holds: file.inside.scans.map(({ words }) => words) } : scan
}

function alone({ kind }: Looked): string {
  if (kind === 'zip') return words.sending.oneZip
  return kind === 'gzip' ? words.sending.oneCompressed : words.sending.oneVolume
}

function inWords(slices: number, called: string | undefined, kind: string | undefined): string {
  const what = called || kind || words.sending.file
  return slices === 1 ? words.sending.oneSlice(what) : words.sending.oneSeries(what, count(slices))
}

/** What is not sent, as in `12 masks beside their images`. */
export function leftInWords(left: Found['left']): string[] {
  const kinds = Object.keys(words.sending.left) as Left[]
  return kinds.flatMap((kind) => {
    const files = left.filter(({ why }) => why === kind).length
    return files === 0 ? [] : words.sending.left[kind](count(files))
  })
}
