/** What is sent of one scan: its file, or a zip of its files; the same files give the same bytes. */
export interface Content {
  blob: Blob
  /** Tells these bytes from others: sizes and checksums, and nothing that names anybody. */
  sums: string
  several: boolean
}

const CHUNK_BYTES = 4 * 1024 * 1024
/** 1980-01-01, where MS-DOS begins to count. */
const DOS_DATE = 0x21
const STORED = 0
const ZIP_VERSION = 10

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
 * The files of one scan as one thing to send. They are read once for their checksums, a piece at a time, and never held.
 *
 * Their names stay here, for they may name the patient; their order tells the server all that it needs.
 */
export async function packed(files: readonly File[]): Promise<Content> {
  const entries = await inTurn(files, async (file, index) => ({ file, name: `slice-${index + 1}`, sum: await sumOf(file) }))
  const sums = entries.map(({ file, sum }) => `${file.size.toString(36)}.${sum.toString(36)}`).join(' ')
  const [one, ...others] = files
  if (one && others.length === 0) return { blob: one, sums, several: false }
  return { blob: zipOf(entries), sums, several: true }
}

interface Entry {
  file: File
  name: string
  sum: number
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

/** A zip in which the files lie as they are (APPNOTE 4.3): below 4 GiB, as every upload is. */
function zipOf(entries: readonly Entry[]): Blob {
  const parts: BlobPart[] = []
  const directory: BlobPart[] = []
  let at = 0
  let directoryBytes = 0
  for (const { file, name, sum } of entries) {
    const letters = new TextEncoder().encode(name)
    const common = fields([ZIP_VERSION, 2], [0, 2], [STORED, 2], [0, 2], [DOS_DATE, 2], [sum, 4], [file.size, 4], [file.size, 4], [letters.length, 2], [0, 2])
    const local = [fields([0x04034b50, 4]), common, letters]
    parts.push(...local, file)
    const central = [fields([0x02014b50, 4], [ZIP_VERSION, 2]), common, fields([0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), letters]
    directory.push(...central)
    directoryBytes += sizeOf(central)
    at += sizeOf(local) + file.size
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
