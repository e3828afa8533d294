// What file names say of what belongs together: the server's rules (crates/imaging/src/names.rs), so that the page says
// beforehand what the server will find.

const MASK_WORDS = new Set(
  (
    'annotation annotations gt groundtruth label labelmap labels mask masks roi seg segm segmentation segmentations ' +
    'truth tumormask'
  ).split(' '),
)
const SLICE_WORDS = new Set(['sl', 'slice', 'slices', 'z'])
/** Echoes, phases or sequences of one slice: more of them are rare. */
const FEW = 8
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
    const skeleton = parts.map((part) => (isNumber(part) ? '#' : part))
    const files = alike.get(skeleton.join(' '))?.files ?? []
    files.push({ index, numbers: parts.filter(isNumber) })
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
  // The one that a word for slice stands before, else the last that is not always the same.
  const named = varying.filter((field) => SLICE_WORDS.has(skeleton[(places[field] ?? 0) - 1] ?? ''))
  const counter = named.at(-1) ?? varying.at(-1)
  const alone = files.map(({ index }) => [index])
  if (counter === undefined) return alone
  const others = varying.filter((field) => field !== counter && !inStep(files, counter, field))
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

function isNumber(piece: string): boolean {
  return /^[0-9]/.test(piece)
}

/** Words and numbers of a path, without the extension; a folder ends with a `/`. */
function pieces(name: string): string[] {
  const stem = withoutExtension(name.replace(/^[./\\]+/, ''))
  // A decimal is one number, but not a part of an identifier of many; `brainMask` is two words.
  const found = stem.matchAll(/\d+\.\d+(?![\d.])|\d+|\p{Lu}*(?:(?!\p{Lu})[\p{L}\ufffd])+|[\p{L}\ufffd]+|[/\\]/gu)
  return [...found].map(([piece]) => {
    if (piece === '\\') return '/'
    return isNumber(piece) ? piece.replace(/^0+(?=\d)/, '') : piece.toLowerCase()
  })
}

function withoutExtension(name: string): string {
  const plain = name.replace(/(?<=[^/\\])\.gz$/i, '')
  return plain.replace(/(?<=[^/\\])\.(?=[a-z0-9]{1,5}$)(?=[^/\\]*[a-z])[a-z0-9]+$/i, '')
}
