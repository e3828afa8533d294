import dicom, { type DataSet } from 'dicom-parser'

/** What a DICOM file's header says of what it belongs to. */
export interface DicomHeader {
  sopClass: string
  modality: string
  patient: string
  study: string
  series: string
  /** What the scanner calls the series, as in `FLAIR`. */
  description: string
  plane: Plane | undefined
  frames: number
  /** Whether all that is asked for was within the bytes that were looked at. */
  whole: boolean
}

/** How slices lie in the patient, the nearest of the three. */
export type Plane = 'axial' | 'coronal' | 'sagittal'

const SYNTAX = { implicit: '1.2.840.10008.1.2', explicit: '1.2.840.10008.1.2.1', bigEndian: '1.2.840.10008.1.2.2' }
const DEFLATED = '1.2.840.10008.1.2.1.99'
/** Rows, which every image has: nothing that is wanted here stands behind it. */
const LAST = 'x00280010'
/** What the terms of (0008,0005) are called in browsers: without `ISO_IR` or `ISO 2022 IR` before them. */
const CHARACTER_SETS: Readonly<Record<string, string>> = {
  13: 'shift_jis',
  58: 'gb18030',
  87: 'iso-2022-jp',
  100: 'iso-8859-1',
  101: 'iso-8859-2',
  109: 'iso-8859-3',
  110: 'iso-8859-4',
  126: 'iso-8859-7',
  127: 'iso-8859-6',
  138: 'iso-8859-8',
  144: 'iso-8859-5',
  148: 'iso-8859-9',
  149: 'euc-kr',
  166: 'windows-874',
  192: 'utf-8',
  203: 'iso-8859-15',
  GB18030: 'gb18030',
  GBK: 'gbk',
}
/** Says which set the next bytes are of, in Korean and simplified Chinese: their decoders know it without. */
const ESCAPE = /\x1b\$\)[AC]/g

/**
 * Reads as far as is needed to tell what belongs together, from the first bytes of a file; nothing where they tell nothing.
 * Only to say it beforehand: the server reads the files itself, and decides.
 */
export async function dicomHeader(head: ArrayBuffer): Promise<DicomHeader | undefined> {
  try {
    const { file, written } = await partsOf(new Uint8Array(head))
    const header = headerOf(dataSetOf(written), file)
    return header.sopClass || header.series ? header : undefined
  } catch {
    // The library throws words, too, at what is no DICOM.
    return undefined
  }
}

/** What stands before the data set, by its tags, and the data set as it is written. */
async function partsOf(bytes: Uint8Array): Promise<{ file: ReadonlyMap<string, string>; written: Uint8Array }> {
  const file = new Map<string, string>()
  const prefixed = dicom.readFixedString(bytes, 128, 4) === 'DICM'
  const stream = new dicom.ByteStream(dicom.littleEndianByteArrayParser, bytes, prefixed ? 132 : 0)
  // Group 2, with a preamble or without.
  while (bytes[stream.position] === 2 && bytes[stream.position + 1] === 0) {
    const { tag, dataOffset, length } = dicom.readDicomElementExplicit(stream, [])
    file.set(tag, dicom.readFixedString(bytes, dataOffset, length).trim())
  }
  const rest = bytes.subarray(stream.position)
  return { file, written: file.get('x00020010') === DEFLATED ? await inflated(rest) : rest }
}

/** The beginning of what was deflated, of which there may be the beginning only. */
async function inflated(bytes: Uint8Array): Promise<Uint8Array> {
  const reader = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader()
  const { value } = await reader.read()
  // That it is cut off here is no fault of the file.
  reader.cancel().catch(() => undefined)
  return value ?? new Uint8Array()
}

function dataSetOf(written: Uint8Array): DataSet {
  const data = parsed(written)
  for (const [tag, { dataOffset, length }] of Object.entries(data.elements)) {
    if (dataOffset + length > written.length) delete data.elements[tag]
  }
  return data
}

function parsed(written: Uint8Array): DataSet {
  try {
    return dicom.parseDicom(written, { TransferSyntaxUID: syntaxOf(written), untilTag: LAST })
  } catch (cause) {
    // It goes on behind these bytes: what stands in them was read, but for the last value.
    return (cause as { dataSet: DataSet }).dataSet
  }
}

/** How a data set is really written, whatever its transfer syntax says. */
function syntaxOf(written: Uint8Array): string {
  const representation = written.subarray(4, 6)
  if (!representation.every((letter) => letter >= 0x41 && letter <= 0x5a)) return SYNTAX.implicit
  // The first group is a small number.
  return written[0] === 0 ? SYNTAX.bigEndian : SYNTAX.explicit
}

function headerOf(data: DataSet, file: ReadonlyMap<string, string>): DicomHeader {
  const characters = decoderOf(data.string('x00080005') ?? '')
  const plain = (tag: string) => data.string(tag) ?? ''
  const text = (tag: string) => textOf(data, tag, characters)
  return {
    sopClass: plain('x00080016') || (file.get('x00020002') ?? ''),
    modality: plain('x00080060'),
    patient: `${text('x00100020')}\\${person(text('x00100010'))}`,
    study: plain('x0020000d'),
    series: plain('x0020000e'),
    description: text('x0008103e'),
    plane: planeOf(plain('x00200037')),
    frames: data.intString('x00280008') || 1,
    whole: data.elements[LAST] !== undefined,
  }
}

/** Of several character sets, the last has the letters that the others lack. */
function decoderOf(terms: string): TextDecoder {
  const named = terms.split('\\').map((term) => CHARACTER_SETS[term.trim().replace(/^ISO(_IR| 2022 IR) /, '')])
  return new TextDecoder(named.findLast((name) => name !== undefined) ?? 'iso-8859-1')
}

/** The library has no character sets. */
function textOf(data: DataSet, tag: string, characters: TextDecoder): string {
  const element = data.elements[tag]
  if (!element) return ''
  const text = characters.decode(data.byteArray.subarray(element.dataOffset, element.dataOffset + element.length))
  return text.replace(ESCAPE, '').replace(/[\0\s]+$/, '').trimStart()
}

/** The plane that the directions of rows and columns span (PS3.3, C.7.6.2.1.1): the one across which the normal is longest. */
export function planeOf(orientation: string): Plane | undefined {
  const [a = NaN, b = NaN, c = NaN, d = NaN, e = NaN, f = NaN] = orientation.split('\\').map(Number)
  const normal = [b * f - c * e, c * d - a * f, a * e - b * d].map(Math.abs)
  const longest = Math.max(...normal)
  if (!(longest > 0)) return undefined
  return (['sagittal', 'coronal', 'axial'] as const)[normal.indexOf(longest)]
}

/** A name without padding and empty components at its end: `Test^Case` and `Test^Case^^^` are one. */
function person(name: string): string {
  return name
    .split('=')
    .map((group) => group.replace(/\s*\^\s*/g, '^').replace(/[\^\s]+$/, ''))
    .join('=')
    .replace(/=+$/, '')
}
