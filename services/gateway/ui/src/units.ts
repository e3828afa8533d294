const decimals = [0, 1, 2].map((digits) => new Intl.NumberFormat(undefined, {
  minimumFractionDigits: digits,
  maximumFractionDigits: digits,
}))
const whole = new Intl.NumberFormat()
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })

/** No decimals beyond three figures: more would promise what the method cannot hold. */
export function figures(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return (decimals[digits] ?? whole).format(value)
}

export function count(value: number): string {
  return whole.format(value)
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
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
  if (date === day.format(now)) return 'Today'
  const yesterday = new Date(now)
  yesterday.setDate(yesterday.getDate() - 1)
  return date === day.format(yesterday) ? 'Yesterday' : date
}
