/** Days as `2026-11-27`, both of them in it; empty: open at that end. */
export interface Period {
  from: string
  to: string
}

const DAY_MS = 24 * 60 * 60 * 1000

/** The period that an address asks for. What is no day in it is left open. */
export function periodIn(asked: URLSearchParams): Period {
  return { from: dayIn(asked.get('from')), to: dayIn(asked.get('to')) }
}

function dayIn(text: string | null): string {
  const day = text ?? ''
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN
  // Some read the 31st of June as the first of July.
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(day) ? day : ''
}

/** Its first moment, in milliseconds since 1970: weeks and days are counted in UTC, as the server counts them. */
export function beginOf({ from }: Period): number | undefined {
  return from === '' ? undefined : Date.parse(`${from}T00:00:00Z`)
}

/** The first moment after it. */
export function endOf({ to }: Period): number | undefined {
  return to === '' ? undefined : Date.parse(`${to}T00:00:00Z`) + DAY_MS
}
