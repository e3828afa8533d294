import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { grouped } from './grouping'

// A chunk of its own, as in the page.
const { dicomHeader } = await import('./dicom')

type Value = string | readonly number[]
type Written = 'explicit' | 'implicit' | 'big endian'

const EXPLICIT = '1.2.840.10008.1.2.1'
const DEFLATED = '1.2.840.10008.1.2.1.99'
const LONG = ['OB', 'OW', 'SQ', 'UN']
const PREFIX = [...new Array<number>(128).fill(0), ...Buffer.from('DICM')]
const UNDEFINED = 0xffffffff
/** One item of an undefined length with one value in it, then the ends of both. */
const ITEM = [0xfe, 0xff, 0, 0xe0, 255, 255, 255, 255, 8, 0, 0x50, 0x11, 85, 73, 2, 0, 49, 0]
const ENDS = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]

function element(tag: number, representation: string, value: Value, written: Written = 'explicit', length?: number): number[] {
  const bytes = typeof value === 'string' ? [...Buffer.from(value, 'latin1')] : [...value]
  if (bytes.length % 2) bytes.push(0x20)
  const little = written !== 'big endian'
  const number = (size: 2 | 4, of: number) => {
    const into = Buffer.alloc(size)
    if (size === 2) little ? into.writeUInt16LE(of) : into.writeUInt16BE(of)
    else little ? into.writeUInt32LE(of) : into.writeUInt32BE(of)
    return [...into]
  }
  const of = length ?? bytes.length
  const head = [...number(2, tag >>> 16), ...number(2, tag & 0xffff)]
  if (written === 'implicit') return [...head, ...number(4, of), ...bytes]
  const long = LONG.includes(representation)
  return [...head, ...Buffer.from(representation), ...(long ? [0, 0, ...number(4, of)] : number(2, of)), ...bytes]
}

/** A slice's header up to its rows, with `more` after the character set. */
function slice(written: Written = 'explicit', more: readonly number[] = [], characters = 'ISO_IR 100', description: Value = 'FLAIR'): number[] {
  const one = (tag: number, representation: string, value: Value) => element(tag, representation, value, written)
  return [
    ...one(0x00080005, 'CS', characters),
    ...one(0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.4'),
    ...one(0x00080060, 'CS', 'MR'),
    ...one(0x0008103e, 'LO', description),
    ...more,
    ...one(0x00100010, 'PN', 'Test^Case'),
    ...one(0x00100020, 'LO', '4711'),
    ...one(0x0020000d, 'UI', '1.2'),
    ...one(0x0020000e, 'UI', '1.2.3'),
    ...one(0x00200037, 'DS', '1\\0\\0\\0\\1\\0'),
    ...one(0x00280010, 'US', [0, 1]),
  ]
}

function filed(syntax: string, data: readonly number[] | Uint8Array): number[] {
  return [...PREFIX, ...element(0x00020010, 'UI', syntax), ...data]
}

const read = (bytes: readonly number[]) => dicomHeader(new Uint8Array(bytes).buffer)

const SAID = ['MR', '4711\\Test^Case', '1.2', '1.2.3', 'FLAIR', 'axial', 1, true]
async function said(bytes: readonly number[]): Promise<unknown[]> {
  const header = await read(bytes)
  if (!header) return []
  const { modality, patient, study, series, description, plane, frames, whole } = header
  return [modality, patient, study, series, description, plane, frames, whole]
}

test('a header is read however it is written: either byte order, deflated, without a preamble, and against its transfer syntax', async () => {
  const files = {
    explicit: filed(EXPLICIT, slice()),
    implicit: filed('1.2.840.10008.1.2', slice('implicit')),
    'big endian': filed('1.2.840.10008.1.2.2', slice('big endian')),
    'implicit, and says explicit': filed(EXPLICIT, slice('implicit')),
    deflated: filed(DEFLATED, deflateRawSync(Buffer.from(slice()))),
    'without a preamble': filed(EXPLICIT, slice()).slice(PREFIX.length),
    'the data set alone': slice(),
    'the data set alone, implicit': slice('implicit'),
  }
  for (const [name, bytes] of Object.entries(files)) assert.deepEqual(await said(bytes), SAID, name)
})

test('a header goes on behind sequences of an undefined length, of known and of unknown representation', async () => {
  for (const representation of ['SQ', 'UN']) {
    const value = representation === 'SQ' ? [...ITEM, ...ENDS] : [...ENDS.slice(8)]
    const sequence = element(0x00081140, representation, value, 'explicit', UNDEFINED)
    assert.deepEqual(await said(filed(EXPLICIT, slice('explicit', sequence))), SAID, representation)
  }
})

test('pixels behind the header are not looked at, nor missed where the file is cut', async () => {
  const pixels = element(0x7fe00010, 'OW', [1, 2], 'explicit', 1_000_000)
  assert.deepEqual(await said(filed(EXPLICIT, [...slice(), ...pixels])), SAID)
})

test('a cut header says what it has, and that it is not whole; cut anywhere it is no error', async () => {
  const bytes = filed(EXPLICIT, slice())
  for (let cut = 0; cut < bytes.length; cut++) {
    const header = await read(bytes.slice(0, cut))
    assert.ok(!header?.whole, `cut at ${cut}`)
  }
  assert.equal((await read(bytes.slice(0, -12)))?.series, '1.2.3')
})

test('what a deflated file that is broken says is nothing', async () => {
  assert.equal(await read(filed(DEFLATED, [255, 255, 255, 255])), undefined)
})

test('names are read in the letters that their file says it has', async () => {
  const spoken: [string, Value, string][] = [
    ['ISO_IR 100', 'T1 apr\xe8s', 'T1 après'],
    ['ISO_IR 192', [...Buffer.from('T1 après')], 'T1 après'],
    ['', 'T1 apr\xe8s', 'T1 après'],
    ['ISO_IR 144', '\xb3\xde\xdb\xde\xd2\xd0', 'Голова'],
    ['ISO 2022 IR 6\\ISO 2022 IR 149', '\x1b$)C\xb8\xd3\xb8\xae', '머리'],
    ['\\ISO 2022 IR 87', '\x1b$BF,\x1b(B', '頭'],
    ['GB18030', '\xcd\xb7', '头'],
    ['of somebody’s own', 'FLAIR', 'FLAIR'],
  ]
  for (const [set, written, description] of spoken) {
    assert.equal((await read(filed(EXPLICIT, slice('explicit', [], set, written))))?.description, description, set)
  }
})

const chosen = (path: string, bytes: readonly number[]) => ({ path, file: new File([new Uint8Array(bytes)], path) })

test('a header longer than what is looked at first is read to its end', async () => {
  const long = element(0x00091010, 'OB', new Array<number>(100_000).fill(7))
  const found = await grouped([1, 2].map((number) => chosen(`IM${number}`, filed(EXPLICIT, slice('explicit', long)))))
  assert.deepEqual(found.scans.map(({ words }) => words), ['one series, FLAIR, axial, 2 slices'])
})

test('files that are not understood here go to the server together, and are called that', async () => {
  const broken = filed(DEFLATED, [255, 255, 255, 255])
  const found = await grouped([chosen('IM1', broken), chosen('IM2', broken), chosen('IM3', filed(EXPLICIT, slice()))])
  assert.deepEqual(
    found.scans.map(({ words, files }) => [words, files.length]),
    [
      ['2 DICOM files that only the server reads and sorts into series', 2],
      ['one slice, FLAIR, axial', 1],
    ],
  )
})
