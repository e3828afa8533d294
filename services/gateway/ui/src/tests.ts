import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemOf } from './api/problem'
import type { Diameter, Finding, ImageFacts, ResultDocument } from './api/result'
import { eventsOf, type ServerEvent } from './api/sse'
import { lineOf } from './geometry'
import { inSentences } from './inSentences'
import { countOf, grouped, isZip, leftInWords } from './grouping'
import { crc32, packed, shortOf } from './pack'
import { kindsOf, placeOf, servesKind } from './models'
import { saysMask, series, twin } from './names'
import { dateOf, nameOf, personOf, studyOf } from './person'
import { boxOf, byRole, diametersOf, inWords, sizeOf } from './sizes'
import { bytes, dayOf, decimal, decimalSign, figures, probability } from './units'
import { ANSWERS, fitOf, imageKindOf, lookOf, sentence, shortId, sideOf, viewOf } from './words'
import './tests.dicom'
import './tests.drawing'
import './tests.compare'
import './tests.pages'
import './tests.room'

// A chunk of its own, as in the page.
const { dicomHeader, planeOf } = await import('./dicom')

async function events(chunks: string[]): Promise<ServerEvent[]> {
  async function* stream() {
    yield* chunks
  }
  const seen: ServerEvent[] = []
  for await (const event of eventsOf(stream())) seen.push(event)
  return seen
}

const across = (length: number): Diameter => ({ length, ends: [[0, 0], [0, length]] })

const finding: Finding = {
  label: 1,
  unit: 'mm',
  voxels: 900,
  volume_ml: 3.5,
  slice: 4,
  area_px: 300,
  area_mm2: 263.7,
  diameter_slice: 4,
  longest_diameter: across(31.25),
  perpendicular_diameter: across(9.96),
  box: { from: [3, 0, 0], to: [6, 20, 30], size: [15, 18.75, 28.1] },
  confidence: 0.9,
}
const inPixels: Finding = { ...finding, unit: 'px', volume_ml: null, area_mm2: null }

test('an event cut anywhere is one event', async () => {
  const text = ': hello\r\n\r\nevent: scan\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
  const whole = [{ event: 'scan', data: '{"a":\n1}', id: '7' }]
  for (let cut = 0; cut <= text.length; cut++) {
    assert.deepEqual(await events([text.slice(0, cut), text.slice(cut)]), whole, `cut at ${cut}`)
  }
  assert.deepEqual(await events([...text]), whole)
})

test('an event without its empty line has not ended', async () => {
  assert.deepEqual(await events(['data: 1\n\ndata: 2\n']), [{ event: 'message', data: '1' }])
})

test('a size says its unit, and pixels where none is known', () => {
  const says = (one: Finding, slices: number) => {
    const { number, unit, what } = sizeOf(one, slices)
    return `${what}: ${number} ${unit}`
  }
  assert.equal(says(finding, 24), 'Volume: 3.50 mL')
  assert.equal(says(finding, 1), 'Area in this slice: 264 mm²')
  assert.equal(says(inPixels, 24), 'Volume: 900 voxels')
  assert.equal(says(inPixels, 1), 'Area in this slice: 900 pixels')
})

test('a volume of nought is no missing volume', () => {
  assert.equal(sizeOf({ ...finding, volume_ml: 0 }, 24).unit, 'mL')
})

test('lengths carry the unit of the finding', () => {
  assert.equal(diametersOf(finding), '31.3 × 9.96 mm')
  assert.equal(diametersOf(inPixels), '31.3 × 9.96 pixels')
  assert.equal(boxOf(finding, 24), '28.1 × 18.8 × 15.0 mm')
  assert.equal(boxOf(inPixels, 24), '28.1 × 18.8 pixels')
  assert.equal(boxOf({ ...inPixels, box: { ...finding.box, size: [1, 4, 1200] } }, 1), '1200 × 4 pixels')
})

test('the sentence tells of one region, and of several together', () => {
  assert.equal(inWords([finding], finding, 24), 'One region, 31.3 mm at its longest and 9.96 mm across.')
  const totals = { voxels: 1800, volume_ml: 7, area_mm2: null }
  assert.match(inWords([finding, finding], totals, 24), /^2 regions, 7\.00 mL together\. The largest is 31\.3 mm/)
})

test('the sentences to copy say what it is, where it comes from and what it is not', () => {
  const head = { scan_id: 's', reason: null, limits: '', software: '' }
  const model = { name: 'medseg-mr', version: '0.4.0', sha256: '' } as NonNullable<ResultDocument['model']>
  const totals = { voxels: 900, volume_ml: 3.5, area_mm2: null }
  const findings: Finding[] = [{ ...finding, laterality: 'left' }, { ...finding, label: 2, role: 'lesser' }]
  assert.equal(
    inSentences({ answer: 'found', shape: [24, 256, 256] }, { ...head, answer: 'found', findings, totals, model }),
    'Tumour region found. One region, 31.3 mm at its longest and 9.96 mm across. Size: 3.50 mL. Largest in slice 5 of 24. ' +
      'Patient’s left. One lesser finding lies apart from it. Automatic analysis by the model medseg-mr 0.4.0. ' +
      'For research use, not for diagnosis.',
  )
  const failed = inSentences({ answer: 'failed', shape: [1, 64, 64] }, { ...head, answer: 'failed', reason: 'no answer', findings: [] })
  assert.match(failed, /^Analysis failed\. No answer\. .*No model was run\. For research use, not for diagnosis\.$/)
  const none = inSentences({ answer: 'none_found', shape: [1, 64, 64] }, { ...head, answer: 'none_found', findings: [], totals, model })
  assert.match(none, /does not rule out a tumour/)
})

test('lesser findings stand apart, and a finding without a role is a main one', () => {
  const lesser: Finding = { ...finding, label: 2, role: 'lesser' }
  assert.deepEqual(byRole([finding, lesser]), { main: [finding], lesser: [lesser] })
})

test('the kind of image says who told it', () => {
  const model = { kind: 't1_contrast', probability: 0.97 } as const
  assert.equal(imageKindOf({ kind: 'flair', told_by: 'dicom', model }), 'FLAIR, says its header')
  assert.match(imageKindOf({ kind: 't1_contrast', told_by: 'model', model }), /^T1 .*as the model sees it \(97 %\)$/)
  assert.equal(imageKindOf({ kind: 'unknown', told_by: null, model }), 'Not known')
})

test('a model says which modalities and kinds of image it answers, each kind once', () => {
  const serves = [
    { modality: 'CT', image_kind: null },
    { modality: 'MR', image_kind: null },
    { modality: 'MR', image_kind: 'flair' },
  ]
  assert.deepEqual(serves.map(placeOf), ['CT', 'MR', 'MR FLAIR'])
  assert.deepEqual(kindsOf({ serves }), [null, 'flair'])
  assert.ok(servesKind({ serves }, 'flair') && !servesKind({ serves }, 't1_contrast') && !servesKind({ serves: [] }, null))
})

test('a look says its size and its mirror', () => {
  const model = { name: 'm', version: '1', sha256: '', preprocessing: 'p', threshold: 0.5, side: 224, device: 'cpu' }
  assert.equal(lookOf(model), '224 pixels')
  assert.equal(lookOf({ ...model, mirrored: true }), '224 pixels, in the mirror too')
})

test('a diameter is drawn through the centres of pixels, in millimetres where they are known', () => {
  const image: ImageFacts = {
    shape: { slices: 1, rows: 10, columns: 10 },
    spacing_mm: [null, 2, 0.5],
    shown_slice: 0,
  }
  assert.deepEqual(lineOf({ length: 0, ends: [[1, 3], [2, 5]] }, image), { x1: 1.75, y1: 3, x2: 2.75, y2: 5 })
  assert.deepEqual(lineOf({ length: 0, ends: [[1, 3], [2, 5]] }, undefined), { x1: 3.5, y1: 1.5, x2: 5.5, y2: 2.5 })
})

test('a refusal keeps the words of the server', () => {
  const body = '{"type":"/problems/too-small","title":"The image is too small","detail":"it is 12 x 12 pixels"}'
  const problem = problemOf(422, body)
  assert.deepEqual(
    [problem.name, problem.title, problem.detail, problem.transient],
    ['too-small', 'The image is too small', 'It is 12 x 12 pixels', false],
  )
})

test('an answer that is no problem document is a problem all the same', () => {
  for (const body of ['<html>', 'null', '[]', '{"title":7}']) {
    const problem = problemOf(502, body)
    assert.deepEqual([problem.title, problem.transient], ['The server answered with status 502', true], body)
  }
})

test('no two answers have the same title, and none says more than it may', () => {
  const titles = Object.values(ANSWERS).map(({ title }) => title)
  assert.equal(new Set(titles).size, 4)
  assert.match(ANSWERS.none_found.sentence, /does not rule out/)
  assert.match(ANSWERS.failed.sentence, /nothing about the patient/)
})

test('an expected fit says where it may lie', () => {
  const words = fitOf({ dice: 0.812, interval: [0.6, 0.951] })
  assert.match(words, /by 0\.81 .* between 0\.60 and 0\.95\.$/)
})

test('sides are the patient’s, and an unknown one is called unknown', () => {
  assert.deepEqual((['left', 'right', null, undefined] as const).map(sideOf), [
    'Patient’s left',
    'Patient’s right',
    'Unknown',
    'Unknown',
  ])
  const axial = { plane: 'axial', left: 'R', right: 'L', top: 'A', bottom: 'P' } as const
  assert.equal(viewOf(axial), 'Axial: patient’s right at the left, front at the top')
  assert.match(viewOf(null), /unknown/)
})

test('numbers are as fine as they may be', () => {
  assert.deepEqual([0.126, 9.99, 12.34, 123.4].map(figures), ['0.13', '9.99', '12.3', '123'])
  assert.deepEqual([512, 45_000, 1_240_000].map(bytes), ['512 B', '45.0 kB', '1.24 MB'])
  assert.deepEqual([1238.4, 65_536].map(figures), ['1238', '65\u202f536'])
  assert.deepEqual([decimal(0.5, 2), decimalSign('0.87', 'fr'), decimalSign('12', 'fr')], ['0.50', '0,87', '12'])
})

test('what is nearly sure is not called sure', () => {
  assert.deepEqual([0, 0.004, 0.5, 0.996, 1].map(probability), ['0 %', 'below 1 %', '50 %', 'above 99 %', '100 %'])
})

test('days are called what people call them', () => {
  const now = new Date(2026, 2, 1, 0, 30).getTime()
  assert.equal(dayOf(now - 60_000, now), 'Today')
  assert.equal(dayOf(now - 3_600_000, now), 'Yesterday')
  assert.match(dayOf(now - 48 * 3_600_000, now), /27/)
})

test('short ids tell scans of the same second apart', () => {
  assert.notEqual(shortId('0198f3a2-7c1d-7000-9a00-0123456789ab'), shortId('0198f3a2-7c1d-7000-9a01-0123456789ac'))
  assert.equal(sentence('the model is away'), 'The model is away.')
})

/** The beginning of a DICOM slice, explicit or implicit little endian. */
function dicomHead(values: [tag: number, vr: string, value: string][], explicit = true): ArrayBuffer {
  const bytes: number[] = []
  const short = (value: number) => bytes.push(value & 0xff, (value >> 8) & 0xff)
  for (const [tag, vr, text] of values) {
    const value = text.length % 2 ? `${text} ` : text
    short(tag >>> 16)
    short(tag & 0xffff)
    if (explicit) bytes.push(...[...vr].map((letter) => letter.charCodeAt(0)))
    short(value.length)
    if (!explicit) short(0)
    bytes.push(...[...value].map((letter) => letter.charCodeAt(0)))
  }
  return new Uint8Array([...new Array<number>(128).fill(0), 0x44, 0x49, 0x43, 0x4d, ...bytes]).buffer
}

const slice = (series: string, name = 'Test^Case') =>
  dicomHead([
    [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.4'],
    [0x00080060, 'CS', 'MR'],
    [0x00100010, 'PN', name],
    [0x0020000d, 'UI', '1.2'],
    [0x0020000e, 'UI', series],
    [0x00280010, 'US', 'xx'],
  ])

const chosen = (path: string, head: ArrayBuffer | number[]) => ({
  file: new File([head instanceof ArrayBuffer ? head : new Uint8Array(head)], path.split('/').at(-1) ?? ''),
  path,
})
const PNG = [0x89, 0x50, 0x4e, 0x47]

test('a DICOM header is read in both encodings, and what is none is not', async () => {
  const values: [number, string, string][] = [
    [0x00080060, 'CS', 'MR'],
    [0x00100020, 'LO', '4711'],
    [0x0020000e, 'UI', '1.2.3'],
    [0x00280008, 'IS', '7'],
  ]
  for (const explicit of [true, false]) {
    const header = await dicomHeader(dicomHead(values, explicit))
    assert.deepEqual([header?.modality, header?.series, header?.frames, header?.patient], ['MR', '1.2.3', 7, '4711\\'])
  }
  for (const bytes of [0, 20, 200]) assert.equal(await dicomHeader(new Uint8Array(bytes).fill(0x41).buffer), undefined)
})

test('slices of a series are one scan, and a disc’s other files are not sent', async () => {
  const report = dicomHead([[0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.88.11']])
  const found = await grouped([
    ...[10, 9, 1].map((number) => chosen(`DICOM/IM${number}`, slice('1.2.3', number === 9 ? 'Test^Case^^^' : 'Test^Case'))),
    chosen('DICOM/JM1', slice('1.2.4')),
    chosen('DICOM/SR1', report),
    chosen('VIEWER/logo.png', PNG),
    chosen('README.TXT', [0x50, 0x61]),
    chosen('__MACOSX/DICOM/._IM1', [0]),
  ])
  assert.deepEqual(
    found.scans.map(({ words, files }) => [words, files.map(({ name }) => name)]),
    [
      ['one series, MR, 3 slices', ['IM1', 'IM9', 'IM10']],
      ['one slice, MR', ['JM1']],
    ],
  )
  assert.deepEqual(leftInWords(found.left), [
    '1 file that is no image',
    '1 DICOM file that is no slice',
    '1 picture beside the DICOM files',
  ])
})

test('a zip is called what is in it, packed or not, and one that cannot be read here is sent all the same', async () => {
  const noise = () => crypto.getRandomValues(new Uint8Array(4096))
  const bytes = (series: string, more: Uint8Array<ArrayBuffer>) => new Blob([slice(series), more])
  for (const more of [() => new Uint8Array(4096), noise]) {
    const files = ['1.2.3', '1.2.3', '1.2.3', '1.2.4'].map((series, at) => new File([bytes(series, more())], `${at}`))
    const { blob } = await packed(files)
    const zip = new File([blob], 'DOE^JANE.zip')
    assert.ok(await isZip(zip))
    const { scans } = await grouped([{ file: zip, path: zip.name }])
    assert.deepEqual(scans, [{ files: [zip], words: 'one zip', holds: ['one series, MR, 3 slices', 'one slice, MR'] }])
    assert.equal(countOf(scans), 2)

    const nested = new File([(await packed([zip, zip])).blob], 'two discs.zip')
    assert.deepEqual((await grouped([{ file: nested, path: nested.name }])).scans[0]?.holds, ['one zip', 'one zip'])
    const cut = new File([blob.slice(0, blob.size - 30)], 'cut.zip')
    assert.deepEqual((await grouped([{ file: cut, path: cut.name }])).scans, [{ files: [cut], words: 'one zip' }])
  }
  assert.ok(!(await isZip(new File([slice('1.2.3')], 'IM1'))) && !(await isZip(new File([], 'empty'))))
})

test('numbered pictures are one scan without their masks, and others stand alone', async () => {
  const files = ['p_2.png', 'p_10.png', 'p_2_mask.png', 'p_10_mask.png', 'flair.png']
  const found = await grouped(files.map((path) => chosen(path, PNG)))
  assert.deepEqual(
    found.scans.map(({ words, files }) => [words, files.map(({ name }) => name)]),
    [
      ['one slice, PNG', ['flair.png']],
      ['one series, PNG, 2 slices', ['p_2.png', 'p_10.png']],
    ],
  )
  assert.deepEqual(leftInWords(found.left), ['2 masks beside their images'])
})

test('a compressed volume is called a volume, and its masks are not sent', async () => {
  const nifti = new Uint8Array(360)
  nifti.set([0x6e, 0x2b, 0x31], 344)
  const packed = await new Response(new Blob([nifti]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer()
  const names = ['BraTS-7/BraTS-7-t1c.nii.gz', 'BraTS-7/BraTS-7-seg.nii.gz', 'other-mask.nii.gz']
  const found = await grouped([...names.map((path) => chosen(path, packed)), chosen('case.nii', [...nifti]), chosen('x.gz', [0x1f, 0x8b])])
  assert.deepEqual(
    found.scans.map(({ words, files }) => [words, files[0]?.name]),
    [
      ['one NIfTI volume', 'BraTS-7-t1c.nii.gz'],
      ['one NIfTI volume', 'case.nii'],
      ['one NIfTI volume', 'other-mask.nii.gz'],
      ['one compressed file', 'x.gz'],
    ],
  )
  assert.deepEqual(leftInWords(found.left), ['1 mask beside its image'])
})

// The same cases as the server's own (crates/imaging/src/names.rs).
test('names are understood as the server understands them', () => {
  const one = [
    ['slice_10.png', 'slice_2.png', 'slice_1.png'],
    ['IM-0001-0001.png', 'IM-0001-0002.png'],
    ['p_7_of_24.tif', 'p_8_of_24.tif', 'p_9_of_24.tif'],
    ['s1_z5.5.png', 's2_z7.png', 's3_z8.5.png'],
    ['1.PNG', '2.png', '3.jpg'],
    ['patient_07/slice_001.png', 'patient_07/slice_002.png'],
    ['visit2/20200101/T1/1.png', 'visit2/20200101/T1/2.png'],
    ['sub-01_ses-2_T1w_001.png', 'sub-01_ses-2_T1w_002.png'],
    ['AX_T2_1.png', 'AX_T2_2.png'],
    ['T2.001.png', 'T2.002.png'],
    ['case_101_slice_7.png', 'case_101_slice_8.png'],
    ['sl5mm_001.png', 'sl5mm_002.png'],
    ['slice_1999.png', 'slice_2003.png'],
    ['image_7_of_24.png', 'image_8_of_24.png'],
    ['img_2_T1.png', 'img_3_T1.png'],
    ['scan_1.png', 'scan_2.png'],
    ['scan_20200101_1.png', 'scan_20200101_2.png'],
    ['scan (1).png', 'scan (2).png'],
    ['flair_1.png', 'flair_2.png'],
    ['dwi_1.png', 'dwi_2.png'],
    ['b_2.png', 'b_10.png'],
    ['b50.png', 'b51.png'],
    ['IM_1899.png', 'IM_1900.png'],
    ['20201301.png', '20201302.png'],
    // More of them than any patient has yearly visits, or b-values.
    Array.from({ length: 24 }, (_, at) => `IMG_${1998 + at}.png`),
    Array.from({ length: 24 }, (_, at) => `b${90 + at}.png`),
  ]
  for (const names of one) assert.equal(series(names).length, 1, names.join())
  const two = [
    ['a_1.png', 'a_2.png', 'b_1.png', 'b_2.png'],
    ['4941_1.tif', '4941_2.tif', '4942_1.tif', '4942_2.tif'],
    ['4941_12.tif', '4942_10.tif'],
    ['flair/1.png', 'flair/2.png', 't1/1.png', 't1/2.png'],
    ['images/1.png', 'images/2.png', 'masks/1.png', 'masks/2.png'],
    ['flair.png', 't1.png'],
    ['1.png', '01.png'],
  ]
  for (const names of two) assert.equal(series(names).length, 2, names.join())
  const apart = [
    ['T1.png', 'T2.png'],
    ['AX_T1.png', 'AX_T2.png'],
    ['AXT1.png', 'AXT2.png'],
    ['1_T1.png', '1_T2.png'],
    ['patient1.png', 'patient2.png', 'patient3.png'],
    ['patient_01/scan.png', 'patient_02/scan.png'],
    ['sub-01_FLAIR.png', 'sub-02_FLAIR.png'],
    ['sub-01/anat/sub-01_FLAIR.png', 'sub-02/anat/sub-02_FLAIR.png'],
    ['case1/flair.png', 'case2/flair.png'],
    ['41\\1.png', '42\\2.png', '43\\3.png'],
    ['case_101_slice_7.png', 'case_102_slice_7.png', 'case_103_slice_7.png'],
    ['101_slice_7.png', '102_slice_7.png'],
    ['101_img_7.png', '102_img_7.png'],
    ['BraTS20_Training_001.png', 'BraTS20_Training_002.png'],
    ['TCGA_CS_4941_19960909_12.tif', 'TCGA_CS_4942_19970222_10.tif'],
    ['series1_1.png', 'series2_1.png'],
    ['visit1.png', 'visit2.png'],
    ['ses-1.png', 'ses-2.png'],
    ['echo1.png', 'echo2.png'],
    ['TE30.png', 'TE90.png'],
    ['TE30_1.png', 'TE60_2.png', 'TE90_3.png'],
    ['b0.png', 'b1000.png'],
    ['b0.png', 'b500.png', 'b1000.png'],
    ['dwi_0.png', 'dwi_800.png'],
    ['Smith_2019.png', 'Smith_2021.png'],
    ['IMG_2019.png', 'IMG_2020.png', 'IMG_2021.png'],
    ['scan_20200101.png', 'scan_20210505.png'],
    ['scan_20200101.png', 'scan_20200102.png'],
    ['scan_202001011200.png', 'scan_202001011430.png'],
    ['2019-03-01.png', '2019-03-02.png'],
    ['01.02.2020.png', '01.02.2021.png'],
    ['img1.png', 'img1 (1).png'],
    Array.from({ length: 24 }, (_, at) => `T${at + 1}.png`),
  ]
  for (const names of apart) assert.equal(series(names).length, names.length, names.join())
  const halves = [
    ['b0_1.png', 'b0_2.png', 'b1000_1.png', 'b1000_2.png'],
    ['T1_1.png', 'T1_2.png', 'T2_1.png', 'T2_2.png'],
    ['T1.001.png', 'T1.002.png', 'T2.001.png', 'T2.002.png'],
    ['X_2019_1.png', 'X_2019_2.png', 'X_2021_1.png', 'X_2021_2.png'],
    ['case1/1.png', 'case1/2.png', 'case2/1.png', 'case2/2.png'],
    ['p/20200101/1.png', 'p/20200101/2.png', 'p/20210101/1.png', 'p/20210101/2.png'],
  ]
  for (const names of halves) assert.deepEqual(series(names), [[0, 1], [2, 3]], names.join())
  const few = Array.from({ length: 120 }, (_, at) => `${at % 40}/${Math.floor(at / 40)}.png`)
  assert.deepEqual([series(few).length, series(few)[0]?.length], [40, 3])
  const patients = Array.from({ length: 480 }, (_, at) => `CS_${4941 + (at % 40)}/CS_${4941 + (at % 40)}_${Math.floor(at / 40)}.tif`)
  assert.deepEqual([series(patients).length, series(patients)[0]?.length], [40, 12])
  const echoes = Array.from({ length: 18 }, (_, at) => `im${at % 9}_${at < 9 ? 1 : 2}.png`)
  assert.equal(series(echoes).length, 18)
  const times = Array.from({ length: 180 }, (_, at) => `slice${at % 9}_t${Math.floor(at / 9)}.png`)
  assert.deepEqual([series(times).length, series(times)[0]?.length], [20, 9])
  const twins = [
    ['p/TCGA_1_mask.tif', 'p/TCGA_1.tif'],
    ['masks/7.png', 'images/7.png'],
    ['case-mask.nii.gz', 'case.nii.gz'],
    ['case.seg.nrrd', 'case.nrrd'],
    ['007_seg.png', '7.png'],
    ['brainLabel_3.png', 'brain_3.png'],
  ] as const
  for (const [mask, image] of twins) {
    assert.ok(saysMask(mask) && !saysMask(image), mask)
    assert.equal(twin(mask), twin(image), mask)
  }
  assert.ok(!saysMask('damask_1.png') && !saysMask('masked/3.png'))
})

test('a patient is called what people call them, and two of a name are told apart', () => {
  const names = ['Doe^Jane', 'Doe^Jane^Mary^Dr', 'Doe', '^Jane', 'Yamada^Tarou=山田^太郎=やまだ^たろう', '=山田^太郎', '', null]
  assert.deepEqual(names.map(nameOf), [
    'Doe, Jane', 'Doe, Jane Mary', 'Doe', 'Jane', 'Yamada, Tarou (山田, 太郎)', '山田, 太郎', '', '',
  ])
  const nobody = {
    scan_id: '', reference: null, patient_name: null, patient_id: null, issuer_of_patient_id: null,
    patient_birth_date: null, accession_number: null, study_date: null, study_description: null,
    series_description: null, study_instance_uid: null,
  }
  assert.equal(personOf({ ...nobody, patient_name: 'Doe^Jane', patient_id: ' 4711', reference: 'order 7' }), 'Doe, Jane · 4711')
  assert.equal(personOf({ ...nobody, reference: 'order 7' }), 'order 7')
  assert.equal(personOf(nobody) + studyOf(nobody), '')
})

test('a date that is none is shown as it was written', () => {
  assert.match(dateOf('20260131'), /31.*2026/)
  assert.equal(dateOf('2026.01.31'), dateOf('20260131'))
  assert.deepEqual(['20261331', 'May', ' ', null].map(dateOf), ['20261331', 'May', '', ''])
})

test('a checksum is the one that zip has, in one piece or in several', () => {
  const bytes = new TextEncoder().encode('123456789')
  // The check value of CRC-32/ISO-HDLC.
  assert.equal(crc32(bytes), 0xcbf43926)
  assert.equal(crc32(bytes.slice(4), crc32(bytes.slice(0, 4))), 0xcbf43926)
  assert.equal(crc32(new Uint8Array()), 0)
})

test('files of one scan are one thing to send, the same each time, without their names', async () => {
  const files = ['DOE^JANE 1.dcm', 'DOE^JANE 2.dcm'].map((name, index) => new File([`slice ${index}`], name))
  const [one, again, turned] = [await packed(files), await packed([...files]), await packed([...files].reverse())]
  const bytes = new Uint8Array(await one.blob.arrayBuffer())
  assert.deepEqual(bytes, new Uint8Array(await again.blob.arrayBuffer()))
  assert.equal(one.sums, again.sums)
  assert.notEqual(one.sums, turned.sums)
  const text = new TextDecoder('latin1').decode(bytes)
  assert.ok(!text.includes('DOE') && text.includes('slice-1slice 0') && text.includes('slice-2slice 1'))
  const end = new DataView(bytes.buffer, bytes.length - 22)
  const [count, directoryBytes, at] = [end.getUint16(10, true), end.getUint32(12, true), end.getUint32(16, true)]
  assert.deepEqual([end.getUint32(0, true), count, at + directoryBytes], [0x06054b50, 2, bytes.length - 22])
  assert.equal(new DataView(bytes.buffer).getUint32(at, true), 0x02014b50)

  const alone = await packed(files.slice(0, 1))
  assert.equal(alone.blob, files[0])
  assert.ok(!alone.several && alone.sums !== one.sums)
})

/** The bytes that a compressed blob holds. */
async function inflated(blob: Blob, how: CompressionFormat): Promise<Uint8Array> {
  return new Uint8Array(await new Response(blob.stream().pipeThrough(new DecompressionStream(how))).arrayBuffer())
}

test('a volume is compressed where that pays, to the same bytes each time, and nothing of it is lost', async () => {
  const volume = new Uint8Array(3_000_000).map((_, at) => (at >> 5) & 0xff)
  volume.set([0x6e, 0x2b, 0x31, 0], 344)
  const file = () => new File([volume], 'DOE^JANE.nii')
  const [one, again] = [await packed([file()]), await packed([file()])]
  assert.ok(one.blob.size < volume.length / 10 && !one.several)
  assert.deepEqual([new Uint8Array(await one.blob.arrayBuffer()), one.sums], [new Uint8Array(await again.blob.arrayBuffer()), again.sums])
  assert.deepEqual(await inflated(one.blob, 'gzip'), volume)

  const noise = crypto.getRandomValues(new Uint8Array(65_536))
  noise.set([0x6e, 0x2b, 0x31, 0], 344)
  const picture = new Uint8Array(70_000)
  picture.set([0x89, 0x50, 0x4e, 0x47])
  for (const bytes of [noise, picture]) {
    const left = new File([bytes], 'a file')
    assert.equal((await packed([left])).blob, left, 'what does not pay, or is no volume, is sent as it is')
  }
})

test('slices are deflated in their zip where that pays, each to be had back whole', async () => {
  const slices = [1, 2].map((number) => new Uint8Array(50_000).fill(number))
  const files = slices.map((slice, index) => new File([slice], `DOE^JANE ${index}.dcm`))
  const [one, again] = [await packed(files), await packed(files)]
  assert.equal(one.sums, again.sums)
  const bytes = new Uint8Array(await one.blob.arrayBuffer())
  assert.ok(bytes.length < 1000 && one.several)
  const zip = new DataView(bytes.buffer)
  let at = 0
  for (const slice of slices) {
    const [method, sum, sent, whole, name] = [zip.getUint16(at + 8, true), zip.getUint32(at + 14, true), zip.getUint32(at + 18, true), zip.getUint32(at + 22, true), zip.getUint16(at + 26, true)]
    assert.deepEqual([zip.getUint32(at, true), method, sum, whole], [0x04034b50, 8, crc32(slice), slice.length])
    const begin = at + 30 + name
    assert.deepEqual(await inflated(one.blob.slice(begin, begin + sent), 'deflate-raw'), slice)
    at = begin + sent
  }
  assert.equal(zip.getUint32(at, true), 0x02014b50)
})

test('a text has one short name, and another text another', () => {
  assert.equal(shortOf('a').length, 16)
  assert.equal(shortOf('a'), shortOf('a'))
  assert.notEqual(shortOf('a'), shortOf('b'))
})

test('the plane of slices is the nearest of the three', () => {
  assert.equal(planeOf('1\\0\\0\\0\\1\\0'), 'axial')
  assert.equal(planeOf('1\\0\\0\\0\\0\\-1'), 'coronal')
  assert.equal(planeOf('0\\1\\0\\0\\0\\-1'), 'sagittal')
  assert.equal(planeOf('0.99\\0.1\\0\\-0.1\\0.9\\0.3'), 'axial')
  for (const none of ['', '1\\0\\0', 'x', '1\\0\\0\\1\\0\\0']) assert.equal(planeOf(none), undefined)
})
