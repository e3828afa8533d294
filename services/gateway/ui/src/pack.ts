import { kindOf } from './grouping'

/** What is sent of one scan: its file, or a zip of its files; the same files give the same bytes. */
export interface Content {
  blob: Blob
  /**
   * Tells these bytes from others: sizes and checksums, and nothing that names anybody. Of what was compressed they are those of the
   * bytes that are sent: a browser that compresses otherwise, such as its next version, begins another upload and goes on with none.
   */
  sums: string
  several: boolean
}

const CHUNK_BYTES = 4 * 1024 * 1024
/** 1980-01-01, where MS-DOS begins to count. */
const DOS_DATE = 0x21
const STORED = 0
const DEFLATED = 8
/** 2.0 knows how to inflate. */
const ZIP_VERSION = 20

/** By how much of a scan's first bytes it is judged whether compressing pays. */
const TRIED_BYTES = 1024 * 1024
/** What stays larger than this part of it is not worth the wait: it was compressed already, or is all noise. */
const PAYS_BELOW = 0.9

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
  return value
})

/** The checksum that zip and gzip have (CRC-32, ISO 3309), of more bytes after those that `sum` is of. */
export function crc32(bytes: Uint8Array, sum = 0): number {
  let value = ~sum
  for (const byte of bytes) value = (TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8)
  return ~value >>> 0
}

/**
 * The files of one scan as one thing to send, compressed where that pays. They are read for their checksums a piece at a time, and
 * what is held of them is what compressing has left.
 *
 * Their names stay here, for they may name the patient; their order tells the server all that it needs.
 */
export async function packed(files: readonly File[]): Promise<Content> {
  const [one, ...others] = files
  if (one && others.length === 0) return alone(one)
  const pays = one !== undefined && (await paysFor(one))
  const entries = await inTurn(files, (file, index) => entryOf(file, `slice-${index + 1}`, pays))
  const sums = entries.map(({ file, sum, sent, sentSum }) => [file.size, sum, sent.size, sentSum].map(short).join('.')).join(' ')
  return { blob: zipOf(entries), sums, several: true }
}

/** A volume as it is, or as `.nii.gz`; no other file is known by the server when it is compressed. */
async function alone(file: File): Promise<Content> {
  const isVolume = kindOf(new Uint8Array(await file.slice(0, TRIED_BYTES).arrayBuffer())) === 'NIfTI'
  const blob = isVolume && (await paysFor(file)) ? await compressed(file, 'gzip') : file
  return { blob, sums: [blob.size, await sumOf(blob)].map(short).join('.'), several: false }
}

/** Whether it is compressed worth the time: measured on its beginning. */
async function paysFor(file: Blob): Promise<boolean> {
  const tried = file.slice(0, TRIED_BYTES)
  return tried.size > 0 && (await compressed(tried, 'deflate-raw')).size < PAYS_BELOW * tried.size
}

function compressed(file: Blob, how: CompressionFormat): Promise<Blob> {
  return new Response(file.stream().pipeThrough(new CompressionStream(how))).blob()
}

interface Entry {
  file: File
  name: string
  /** Of the file itself, as its zip says it. */
  sum: number
  /** What lies in the zip. */
  sent: Blob
  sentSum: number
  method: typeof STORED | typeof DEFLATED
}

async function entryOf(file: File, name: string, pays: boolean): Promise<Entry> {
  const sum = await sumOf(file)
  const smaller = pays ? await compressed(file, 'deflate-raw') : file
  if (smaller.size >= file.size) return { file, name, sum, sent: file, sentSum: sum, method: STORED }
  return { file, name, sum, sent: smaller, sentSum: await sumOf(smaller), method: DEFLATED }
}

function short(number: number): string {
  return number.toString(36)
}

async function inTurn<T, U>(all: readonly T[], of: (one: T, index: number) => Promise<U>): Promise<U[]> {
  const made: U[] = []
  for (const [index, one] of all.entries()) made.push(await of(one, index))
  return made
}

async function sumOf(file: Blob): Promise<number> {
  let sum = 0
  for (let at = 0; at < file.size; at += CHUNK_BYTES) {
    sum = crc32(new Uint8Array(await file.slice(at, at + CHUNK_BYTES).arrayBuffer()), sum)
  }
  return sum
}

/** A zip in which the files lie as they are, or deflated (APPNOTE 4.3): below 4 GiB, as every upload is. */
function zipOf(entries: readonly Entry[]): Blob {
  const parts: BlobPart[] = []
  const directory: BlobPart[] = []
  let at = 0
  let directoryBytes = 0
  for (const { file, name, sum, sent, method } of entries) {
    const letters = new TextEncoder().encode(name)
    const common = fields([ZIP_VERSION, 2], [0, 2], [method, 2], [0, 2], [DOS_DATE, 2], [sum, 4], [sent.size, 4], [file.size, 4], [letters.length, 2], [0, 2])
    const local = [fields([0x04034b50, 4]), common, letters]
    parts.push(...local, sent)
    const central = [fields([0x02014b50, 4], [ZIP_VERSION, 2]), common, fields([0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), letters]
    directory.push(...central)
    directoryBytes += sizeOf(central)
    at += sizeOf(local) + sent.size
  }
  const count = entries.length
  const end = fields([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [directoryBytes, 4], [at, 4], [0, 2])
  return new Blob([...parts, ...directory, end])
}

/** Numbers one after the other, each of so many bytes, the lowest first. */
function fields(...numbers: [value: number, bytes: number][]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(numbers.flatMap(([value, bytes]) => Array.from({ length: bytes }, (_, byte) => (value >>> (8 * byte)) & 0xff)))
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}

/** A short name for a text (FNV-1a twice, 64 bits): to find it again, not to hide it. */
export function shortOf(text: string): string {
  const bytes = new TextEncoder().encode(text)
  return [0x811c9dc5, 0x9e3779b9].map((basis) => fnv(bytes, basis).toString(16).padStart(8, '0')).join('')
}

function fnv(bytes: Uint8Array, basis: number): number {
  let value = basis
  for (const byte of bytes) value = Math.imul(value ^ byte, 0x01000193)
  return value >>> 0
}
