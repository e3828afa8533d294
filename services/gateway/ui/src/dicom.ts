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
}

/** How slices lie in the patient, the nearest of the three. */
export type Plane = 'axial' | 'coronal' | 'sagittal'

const UNDEFINED = 0xffffffff
const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
/** Number of Frames: nothing that is wanted here stands behind it. */
const LAST = 0x00280008
const DEFLATED = '1.2.840.10008.1.2.1.99'

/**
 * Reads as far as is needed to tell what belongs together, from the first bytes of a file. Only to say it beforehand: the
 * server reads the files itself, and decides.
 */
export function dicomHeader(bytes: ArrayBuffer): DicomHeader | undefined {
  try {
    return new Reader(new DataView(bytes)).header()
  } catch (error) {
    // Read past the end, or of what is no DICOM.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

class Reader {
  #at: number
  #little = true
  #explicit = true
  readonly #values = new Map<number, string>()

  constructor(readonly view: DataView) {
    this.#at = view.byteLength > 132 && view.getUint32(128) === 0x4449434d ? 132 : 0
  }

  header(): DicomHeader | undefined {
    this.#elements((tag) => tag >>> 16 === 2)
    if (this.#text(0x00020010) === DEFLATED) return undefined
    this.#asWritten()
    this.#elements((tag) => tag <= LAST)
    return {
      sopClass: this.#text(0x00080016) || this.#text(0x00020002),
      modality: this.#text(0x00080060),
      patient: `${this.#text(0x00100020)}\\${person(this.#text(0x00100010))}`,
      study: this.#text(0x0020000d),
      series: this.#text(0x0020000e),
      description: this.#text(0x0008103e),
      plane: planeOf(this.#text(0x00200037)),
      frames: Number(this.#text(LAST)) || 1,
    }
  }

  #text(tag: number): string {
    return this.#values.get(tag) ?? ''
  }

  /** How the data set is really written, whatever its transfer syntax says. */
  #asWritten(): void {
    this.#little = this.view.getUint16(this.#at, true) <= 0xff
    const letters = this.view.getUint16(this.#at + 4)
    this.#explicit = [letters >> 8, letters & 0xff].every((letter) => letter >= 0x41 && letter <= 0x5a)
  }

  #elements(wanted: (tag: number) => boolean): void {
    while (this.#at + 8 <= this.view.byteLength) {
      const start = this.#at
      const { tag, length } = this.#element()
      if (!wanted(tag)) {
        this.#at = start
        return
      }
      if (length === UNDEFINED) {
        this.#skipItems()
        continue
      }
      if (length <= 256) this.#values.set(tag, this.#string(length))
      this.#at += length
    }
  }

  #string(length: number): string {
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + this.#at, length)
    return new TextDecoder('latin1').decode(bytes).replace(/[\0\s]+$/, '').trimStart()
  }

  #element(): { tag: number; length: number } {
    const group = this.view.getUint16(this.#at, this.#little)
    const tag = group * 0x10000 + this.view.getUint16(this.#at + 2, this.#little)
    const representation = String.fromCharCode(this.view.getUint8(this.#at + 4), this.view.getUint8(this.#at + 5))
    if (!this.#explicit || group === 0xfffe) {
      this.#at += 8
      return { tag, length: this.view.getUint32(this.#at - 4, this.#little) }
    }
    if (LONG.has(representation)) {
      this.#at += 12
      return { tag, length: this.view.getUint32(this.#at - 4, this.#little) }
    }
    this.#at += 8
    return { tag, length: this.view.getUint16(this.#at - 2, this.#little) }
  }

  #skipItems(): void {
    for (;;) {
      const { tag, length } = this.#element()
      if (tag === SEQUENCE_END) return
      if (tag !== ITEM) throw new RangeError('no item')
      if (length !== UNDEFINED) this.#at += length
      else this.#skipItem()
    }
  }

  #skipItem(): void {
    for (;;) {
      const { tag, length } = this.#element()
      if (tag === ITEM_END) return
      if (length === UNDEFINED) this.#skipItems()
      else this.#at += length
    }
  }
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
