import { language, locale, type Language } from './language'
import { words } from './words/table'

// Times are the viewer's. Thousands are grouped by a space for all, as ISO 80000 has it: a comma that is a decimal sign to
// one reader and groups thousands for another makes a size a thousand times too large. The decimal sign is the language's.
const decimals = [0, 1, 2].map(
  (digits) =>
    new Intl.NumberFormat('en', {
      useGrouping: 'min2',
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }),
)
const THIN_SPACE = '\u202f'
const DECIMAL: Readonly<Record<Language, string>> = { en: '.', fr: ',' }
const time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' })
const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })
const day = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })

/** No decimals beyond three figures: more would promise what the method cannot hold. */
export function figures(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return written(value, digits)
}

export function count(value: number): string {
  return written(value, 0)
}

function written(value: number, digits: number): string {
  return decimalSign(decimals[digits]?.format(value).replaceAll(',', THIN_SPACE) ?? String(value))
}

/** With as many decimals as are asked for. */
export function decimal(value: number, digits: number): string {
  return decimalSign(value.toFixed(digits))
}

/** A number as JavaScript writes it, with the decimal sign of a language. */
export function decimalSign(number: string, spoken: Language = language): string {
  return number.replace('.', DECIMAL[spoken])
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** A probability that is neither 0 nor 1 is never written as if it were. */
export function probability(share: number): string {
  if (share > 0 && share < 0.01) return words.units.below
  return share > 0.99 && share < 1 ? words.units.above : percent(share)
}

export function bytes(size: number): string {
  if (size < 1e3) return `${size} B`
  if (size < 1e6) return `${figures(size / 1e3)} kB`
  return size < 1e9 ? `${figures(size / 1e6)} MB` : `${figures(size / 1e9)} GB`
}

export function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${figures(ms / 1000)} s`
}

export function timeOfDay(ms: number): string {
  return time.format(ms)
}

export function moments(ms: number): string {
  return moment.format(ms)
}

/** `Today`, `Yesterday`, or the date. */
export function dayOf(ms: number, now: number): string {
  const date = day.format(ms)
  if (date === day.format(now)) return words.units.today
  const yesterday = new Date(now)
  yesterday.setDate(yesterday.getDate() - 1)
  return date === day.format(yesterday) ? words.units.yesterday : date
}
