import { request } from './http'

/** An entry of the audit trail. */
export interface AuditEntry {
  /** As RFC 3339 writes it. */
  at: string | null
  trail: 'scans' | 'accounts'
  position: number
  action: string
  subject: string | null
  name: string | null
  roles: string[]
  object: string | null
  origin: string | null
  reason: string | null
  detail: string | null
}

export interface AuditPage {
  /** The newest first. */
  entries: AuditEntry[]
  next_cursor: string | null
}

/** Which entries; what is empty says nothing. */
export interface AuditSearch {
  from: string
  to: string
  subject: string
  action: string
  object: string
}

/** The forms of an export, as its address ends. */
export const AUDIT_FORMS = ['csv', 'ndjson', 'xml'] as const
export type AuditForm = (typeof AUDIT_FORMS)[number]

/** The search as the address has it; days are the reader's own, and the last one counts. */
export function queryOf({ from, to, subject, action, object }: AuditSearch): URLSearchParams {
  const query = new URLSearchParams()
  if (from) query.set('from', new Date(`${from}T00:00:00`).toISOString())
  if (to) query.set('to', dayAfter(to).toISOString())
  for (const [name, text] of [['subject', subject], ['action', action], ['object', object]] as const) {
    if (text.trim()) query.set(name, text.trim())
  }
  return query
}

function dayAfter(day: string): Date {
  const date = new Date(`${day}T00:00:00`)
  date.setDate(date.getDate() + 1)
  return date
}

/** One page; that it is read is an entry itself. */
export async function listAudit(search: AuditSearch, cursor: string, limit: number): Promise<AuditPage> {
  const query = queryOf(search)
  query.set('limit', String(limit))
  if (cursor) query.set('cursor', cursor)
  return (await (await request(`v1/audit?${query}`)).json()) as AuditPage
}

/** All entries for which it holds, as a file. */
export async function exportAudit(search: AuditSearch, form: AuditForm): Promise<Blob> {
  return (await request(`v1/audit.${form}?${queryOf(search)}`)).blob()
}
