import { request } from './http'
import { pathOf } from './scans'
import type { ScanIdentity } from './types'
import type { Written } from './written'

/** Whose scan it is, as far as its file or its sender says. */
export type Identity = Written<
  ScanIdentity,
  | 'scan_id'
  | 'reference'
  | 'patient_name'
  | 'patient_id'
  | 'issuer_of_patient_id'
  | 'patient_birth_date'
  | 'accession_number'
  | 'study_date'
  | 'study_description'
  | 'series_description'
  | 'study_instance_uid'
>

/** Each call is noted in the audit trail: it asks for what will be shown, and once. */
export async function getIdentity(id: string): Promise<Identity> {
  return (await (await request(`${pathOf(id)}/identity`)).json()) as Identity
}
