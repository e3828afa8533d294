import { request } from './http'
import { pathOf } from './scans'

/** The languages that the server writes reports in. */
export const REPORT_LANGUAGES = ['en', 'fr'] as const

export type ReportLanguage = (typeof REPORT_LANGUAGES)[number]

/** The report as a PDF; a patient whose name is hidden here stands in no report either, and is not asked for. */
export async function getReport(id: string, lang: ReportLanguage, identity: boolean): Promise<Blob> {
  const query = new URLSearchParams({ lang, identity: String(identity) })
  return (await request(`${pathOf(id)}/report.pdf?${query}`)).blob()
}
