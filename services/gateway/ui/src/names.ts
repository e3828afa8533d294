// What file names say of what belongs together: the server's rules (crates/imaging/src/names.rs), so that the page says
// beforehand what the server will find.

const MASK_WORDS = new Set(
  (
    'annotation annotations gt groundtruth label labelmap labels mask masks roi seg segm segmentation segmentations ' +
    'truth tumormask'
  ).split(' '),
)
const SLICE_WORDS = new Set(['sl', 'slice', 'slices', 'z'])
/** Words whose number is that of a slice where no other follows: `IM-0003-0001` begins with that of the series. */
const FRAME_WORDS = new Set(['frame', 'im', 'image', 'images', 'img', 'instance'])
/** Words whose number says of which patient, visit, sequence or part of a data set a file is, and never which slice. */
const KEY_WORDS = new Set(
  (
    'acq axt case cases cort day dyn echo exam fu id month participant pat patient patients phase pid pt run sagt se ' +
    'seq sequence ser series ses session study sub subj subject subjects t te test ti time timepoint tp tr train ' +
    'training v val validation visit vol volume week year'
  ).split(' '),
)
/** Words whose number may be a b-value. */
const B_WORDS = new Set(['b', 'dwi'])
/** Dates of a visit, perhaps with the time. */
const [YEAR, MONTH, DAY] = ['(?:19|20)\\d\\d', '(?:0[1-9]|1[0-2])', '(?:0[1-9]|[12]\\d|3[01])']
const TIME = '(?:\\d{4}(?:\\d\\d)?)?'
const DATE = `(?:${YEAR}${MONTH}${DAY}${TIME}|${YEAR}-${MONTH}-${DAY}|${DAY}\\.${MONTH}\\.${YEAR})(?!\\d)`
/** Echoes, phases or sequences of one slice: more of them are rare. */
const FEW = 8
/** Numbers that are years where all of a place are. */
const YEARS = [1900, 2099] as const
/** So many years in a row are numbers of a camera or of a long export: no patient is imaged every year for so long. */
const COUNTED_YEARS = 20
/** Below this, a number behind a `b` is no b-value of diffusion. */
const B_VALUE = 50
const IMAGE_WORDS = new Set(['image', 'images', 'img', 'imgs', 'scan'])

/** Whether a name, or that of a folder around it, says that the file is a mask. */
export function saysMask(name: string): boolean {
  return pieces(name).some((piece) => MASK_WORDS.has(piece))
}

/** What a name and its twin have in common: `p/7.png` and `p/7_mask.png`, `images/7.png` and `masks/7.png`. */
export function twin(name: string): string {
  return pieces(name)
    .filter((piece) => !MASK_WORDS.has(piece) && !IMAGE_WORDS.has(piece))
    .join(' ')
}

/** The files of each numbered series, in the order of their numbers; what is not numbered stands alone. */
export function series(names: readonly string[]): number[][] {
  const alike = new Map<string, Alike>()
  names.forEach((name, index) => {
    const parts = pieces(name)
    const file = parts.lastIndexOf('/') + 1
    // Numbers of folders, and those that a word calls something else, tell series apart.
    const mayCount = (at: number) => at >= file && isNumber(parts[at]) && !KEY_WORDS.has(parts[at - 1] ?? '')
    const skeleton = parts.map((part, at) => (mayCount(at) ? '#' : part))
    const files = alike.get(skeleton.join(' '))?.files ?? []
    files.push({ index, numbers: parts.filter((_, at) => mayCount(at)) })
    alike.set(skeleton.join(' '), { skeleton, files })
  })
  const byName = (a: number, b: number) => natural(names[a] ?? '', names[b] ?? '')
  const runs = [...alike.values()].flatMap(runsOf).map((run) => run.sort(byName))
  return runs.sort(([a = 0], [b = 0]) => byName(a, b))
}

/** The order in which people number files: `slice-2` before `slice-10`. */
export function natural(a: string, b: string): number {
  return order.compare(a, b)
}

const order = new Intl.Collator('en', { numeric: true })

/** Files whose names differ in numbers only. */
interface Alike {
  skeleton: string[]
  files: Numbered[]
}

interface Numbered {
  index: number
  numbers: string[]
}

/** Splits files whose names differ in numbers only into runs in which one number counts the slices. */
function runsOf({ skeleton, files }: Alike): number[][] {
  const fields = files[0]?.numbers.map((_, field) => field) ?? []
  const varying = fields.filter((field) => files.some(({ numbers }) => numbers[field] !== files[0]?.numbers[field]))
  const places = skeleton.flatMap((piece, at) => (piece === '#' ? at : []))
  const named = fields.filter((field) => isOfSlice(skeleton, places, field))
  const before = (field: number) => skeleton[(places[field] ?? 0) - 1] ?? ''
  const isKey = (field: number) => tellsApart(before(field), files.map(({ numbers }) => numbers[field] ?? ''))
  const counts = varying.filter((field) => !isKey(field))
  // Where a word for slice stands before a number, that one counts or none does.
  const counter = counts.filter((field) => named.length === 0 || named.includes(field)).at(-1)
  const alone = files.map(({ index }) => [index])
  if (counter === undefined) return alone
  const others = varying.filter((field) => field !== counter && (isKey(field) || !inStep(files, counter, field)))
  const runs = new Map<string, Numbered[]>()
  for (const file of files) {
    const key = others.map((field) => file.numbers[field]).join(' ')
    runs.set(key, [...(runs.get(key) ?? []), file])
  }
  const longest = Math.max(...[...runs.values()].map((run) => run.length))
  // Many runs of a few: two echoes of each slice, perhaps, or one slice of each patient.
  if (longest < runs.size && longest <= FEW) return alone
  return [...runs.values()].flatMap((run) => {
    const counted = new Set(run.map(({ numbers }) => numbers[counter]))
    // The same number twice is no count: `1.png` beside `01.png`.
    return counted.size === run.length ? [run.map(({ index }) => index)] : run.map(({ index }) => [index])
  })
}

/** Whether the word before a number calls it a slice's: `slice_7`, but not `slice5mm`. */
function isOfSlice(skeleton: string[], places: number[], field: number): boolean {
  const at = places[field] ?? 0
  const before = skeleton[at - 1] ?? ''
  const isLength = skeleton[at + 1] === 'mm'
  return (SLICE_WORDS.has(before) && !isLength) || (FRAME_WORDS.has(before) && field === places.length - 1)
}

/** Whether the numbers of a place are years or b-values, which are too few, or too far apart, to count slices. */
function tellsApart(before: string, numbers: string[]): boolean {
  if (numbers.some((number) => number.includes('.'))) return false
  const values = [...new Set(numbers.map(Number))]
  const [first, last] = [Math.min(...values), Math.max(...values)]
  // More numbers than gaps.
  const isRow = last - first < 2 * values.length
  const years = YEARS[0] <= first && last <= YEARS[1] && !SLICE_WORDS.has(before)
  const bValues = B_WORDS.has(before) && last >= B_VALUE
  return (years && !(isRow && values.length >= COUNTED_YEARS)) || (bValues && !isRow)
}

/** Whether a number rises or falls by the same amount with each step of the counter, over three files at least. */
function inStep(files: Numbered[], counter: number, field: number): boolean {
  const pairs = files
    .map(({ numbers }) => [Number(numbers[counter]), Number(numbers[field])] as const)
    .sort((a, b) => a[0] - b[0])
  const slopes = pairs.slice(1).map(([x, y], at) => {
    const [before, below] = pairs[at] ?? [x, y]
    return (y - below) / (x - before)
  })
  const [first = NaN] = slopes
  return slopes.length >= 2 && slopes.every((slope) => Math.abs(slope - first) < 1e-6)
}

/** A number that may count, which a date may not. */
function isNumber(piece: string | undefined): boolean {
  return piece !== undefined && /^[0-9]/.test(piece) && !ONLY_DATE.test(piece)
}

const ONLY_DATE = new RegExp(`^${DATE}$`)
// A decimal is one number, but not a part of an identifier of many, nor a date's end; `brainMask` is two words.
const PIECE = new RegExp(
  `${DATE}|\\d+\\.(?!${DATE})\\d+(?![\\d.])|\\d+|\\p{Lu}*(?:(?!\\p{Lu})[\\p{L}\\ufffd])+|[\\p{L}\\ufffd]+|[/\\\\]`,
  'gu',
)

/** Words, dates and numbers of a path, without the extension; a folder ends with a `/`. */
function pieces(name: string): string[] {
  const stem = withoutExtension(name.replace(/^[./\\]+/, ''))
  const found = [...stem.matchAll(PIECE)].map(([piece]) => (piece === '\\' ? '/' : piece.toLowerCase()))
  // `T2.001` is slice 1 of T2.
  const isKey = (word = '') => KEY_WORDS.has(word) || B_WORDS.has(word)
  const parts = found.flatMap((piece, at) => (isKey(found[at - 1]) && isNumber(piece) ? piece.split('.') : piece))
  return parts.map((piece) => (isNumber(piece) ? piece.replace(/^0+(?=\d)/, '') : piece))
}

function withoutExtension(name: string): string {
  const plain = name.replace(/(?<=[^/\\])\.gz$/i, '')
  return plain.replace(/(?<=[^/\\])\.(?=[a-z0-9]{1,5}$)(?=[^/\\]*[a-z])[a-z0-9]+$/i, '')
}
