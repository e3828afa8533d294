import { request } from './http'
import { pathOf } from './scans'

/** Whose scan it is, as far as its file or its sender says. */
export interface Identity {
  scan_id: string
  reference: string | null
  patient_name: string | null
  patient_id: string | null
  issuer_of_patient_id: string | null
  patient_birth_date: string | null
  accession_number: string | null
  study_date: string | null
  study_description: string | null
}

/** Each call is noted in the audit trail: it asks for what will be shown, and once. */
export async function getIdentity(id: string): Promise<Identity> {
  return (await (await request(`${pathOf(id)}/identity`)).json()) as Identity
}
