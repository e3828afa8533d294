import type { Chosen } from './files'

// What a zip is made of (APPNOTE 4.3): the files, each behind a header of its own, and a directory of them at the end.
const LOCAL = 0x04034b50
const LOCAL_BYTES = 30
const CENTRAL = 0x02014b50
const CENTRAL_BYTES = 46
const END = 0x06054b50
const END_BYTES = 22
const COMMENT_BYTES_MAX = 0xffff
const STORED = 0
const DEFLATED = 8
const ENCRYPTED = 1

/** A larger directory is for the server alone to read. */
const DIRECTORY_BYTES_MAX = 16 * 1024 * 1024
/** So much of a file that is packed is unpacked here: enough to tell what it is, and mostly of which series. */
const HEAD_BYTES = 32 * 1024
const AT_ONCE = 16

interface Entry {
  path: string
  method: number
  encrypted: boolean
  /** What it is within the zip, and where its header begins. */
  bytes: number
  at: number
}

/**
 * The files in a zip, of those that are packed only the beginning; nothing where it cannot be read here, as an encrypted one.
 * Only to say beforehand what is in it: it is sent as it is, and the server decides.
 */
export async function filesIn(zip: Blob): Promise<Chosen[] | undefined> {
  try {
    const directory = await directoryOf(zip)
    const entries = directory && [...entriesIn(directory)].filter(({ path }) => !path.endsWith('/'))
    if (!entries || entries.some(({ method, encrypted }) => encrypted || (method !== STORED && method !== DEFLATED))) return undefined
    const files: Chosen[] = []
    for (let at = 0; at < entries.length; at += AT_ONCE) {
      files.push(...(await Promise.all(entries.slice(at, at + AT_ONCE).map((entry) => beginOf(zip, entry)))))
    }
    return files
  } catch {
    // It is cut off or broken: the server says what is wrong with it.
    return undefined
  }
}

async function directoryOf(zip: Blob): Promise<DataView | undefined> {
  const tail = await viewOf(zip.slice(Math.max(0, zip.size - END_BYTES - COMMENT_BYTES_MAX)))
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue
    const [bytes, from] = [tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)]
    // One of 4 GiB or more says it elsewhere, and here what cannot be.
    if (bytes > DIRECTORY_BYTES_MAX || from + bytes > zip.size) return undefined
    return viewOf(zip.slice(from, from + bytes))
  }
  return undefined
}

function* entriesIn(directory: DataView): Generator<Entry> {
  const letters = new TextDecoder()
  let at = 0
  while (at + CENTRAL_BYTES <= directory.byteLength && directory.getUint32(at, true) === CENTRAL) {
    const short = (offset: number) => directory.getUint16(at + offset, true)
    const nameBytes = short(28)
    const name = new Uint8Array(directory.buffer, directory.byteOffset + at + CENTRAL_BYTES, nameBytes)
    yield {
      path: letters.decode(name),
      method: short(10),
      encrypted: (short(8) & ENCRYPTED) !== 0,
      bytes: directory.getUint32(at + 20, true),
      at: directory.getUint32(at + 42, true),
    }
    at += CENTRAL_BYTES + nameBytes + short(30) + short(32)
  }
}

async function beginOf(zip: Blob, { path, method, bytes, at }: Entry): Promise<Chosen> {
  const local = await viewOf(zip.slice(at, at + LOCAL_BYTES))
  if (local.getUint32(0, true) !== LOCAL) throw new Error('no file is where the directory says')
  // What stands between header and file may be longer here than in the directory.
  const from = at + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true)
  const stored = zip.slice(from, from + bytes)
  const begin = method === DEFLATED ? await unpacked(stored) : stored
  return { file: new File([begin], path.split('/').at(-1) ?? ''), path }
}

async function unpacked(stored: Blob): Promise<Blob> {
  const reader = stored.stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader()
  const parts: BlobPart[] = []
  let bytes = 0
  try {
    while (bytes < HEAD_BYTES) {
      const { value } = await reader.read()
      if (!value) break
      parts.push(new Uint8Array(value))
      bytes += value.length
    }
  } catch {
    // What came before it is broken may tell enough.
  } finally {
    reader.cancel().catch(() => undefined)
  }
  return new Blob(parts)
}

async function viewOf(part: Blob): Promise<DataView> {
  return new DataView(await part.arrayBuffer())
}
