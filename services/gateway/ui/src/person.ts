import type { Identity } from './api/identity'
import { locale } from './language'

const date = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone: 'UTC' })

/**
 * A name as DICOM writes it (PS3.5, 6.2.1.1), as people read it: `Doe, Jane`.
 *
 * Family and given names stand first, and a second group holds them in the patient's own script.
 */
export function nameOf(written: string | null): string {
  const [latin = '', own = ''] = (written ?? '').split('=').map(group)
  return latin && own && latin !== own ? `${latin} (${own})` : latin || own
}

function group(components: string): string {
  const [family = '', given = '', middle = ''] = components.split('^').map((part) => part.trim())
  return [family, [given, middle].filter(Boolean).join(' ')].filter(Boolean).join(', ')
}

/** A date as DICOM writes it (`20260131`); anything else as it is. */
export function dateOf(written: string | null): string {
  const [, year, month, day] = /^(\d{4})\.?(\d{2})\.?(\d{2})$/.exec((written ?? '').trim()) ?? []
  if (!year) return (written ?? '').trim()
  const time = Date.UTC(Number(year), Number(month) - 1, Number(day))
  // A month 13 would silently be another day.
  const sound = new Date(time).toISOString().slice(0, 10) === `${year}-${month}-${day}`
  return sound ? date.format(time) : (written ?? '').trim()
}

/** Who it is, in a line: the name and the number that tell two of a name apart; else what the sender calls the scan. */
export function personOf(identity: Identity): string {
  const known = [nameOf(identity.patient_name), identity.patient_id?.trim()].filter(Boolean).join(' · ')
  return known || identity.reference || ''
}

/** Which examination, in a line. */
export function studyOf(identity: Identity): string {
  return [dateOf(identity.study_date), identity.study_description?.trim()].filter(Boolean).join(' · ')
}
