import type { ResultDocument } from './api/result'
import type { Scan } from './api/scans'
import { byRole, inWords, sizeOf } from './sizes'
import { ANSWERS, sentence, sideOf, words } from './words'

/** The result in a few sentences, for a letter or a report of one's own: what it is, where it comes from, and what it is not. */
export function inSentences({ answer, shape }: Pick<Scan, 'answer' | 'shape'>, result: ResultDocument): string {
  const { report } = words
  const { title, sentence: meaning } = ANSWERS[answer ?? 'failed']
  const slices = shape[0] ?? 1
  const { main, lesser } = byRole(result.findings)
  const [largest] = main
  const said = [`${title}.`]
  if (largest && result.totals) {
    const { number, unit } = sizeOf(result.totals, slices)
    // Of several regions the sentence says how large they are together.
    said.push(inWords(main, result.totals, slices))
    if (main.length === 1) said.push(report.size(number, unit))
    if (slices > 1) said.push(report.slice(largest.slice + 1, slices))
    if (largest.laterality) said.push(`${sideOf(largest.laterality)}.`)
    if (lesser.length > 0) said.push(report.lesser(lesser.length))
  } else {
    said.push(sentence(result.reason ?? ''), meaning)
  }
  const { model } = result
  said.push(model ? report.by(model.name, model.version) : report.byNone, report.research)
  return said.filter(Boolean).join(' ')
}
