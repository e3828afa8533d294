import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DriftFeature } from './api/drift'
import type { Rate } from './api/quality'
import { counted, judged, NOTHING, saidIn } from './draft'
import { byGravity, featureIn, featureName, plotOf, plotWords, pValue, three } from './drift'
import { ALL, FILTERS, filterNamed, matches, nameOf, stepped } from './filter'
import { languageOf, localeOf } from './language'
import { beginOf, endOf, periodIn } from './period'
import { askedIn, diceNotEmptyOf, diceOf, rateOf, reviewedOf } from './quality'
import { homeOf, may } from './roles'
import { hrefTo, whereAt } from './routes'
import { TABLES } from './words/table'

test('an address says which page it is and what is asked of it, and what nobody knows is home', () => {
  assert.deepEqual(whereAt('#/quality?by=week&from=2026-11-01'), { page: 'quality', id: '', query: 'by=week&from=2026-11-01' })
  assert.deepEqual(whereAt('#/scans/0198-a'), { page: 'scan', id: '0198-a', query: '' })
  assert.deepEqual(['#/report', '#/report/7'].map((at) => whereAt(at).id), ['', '7'])
  assert.deepEqual(['#/drift', '#/drift/7f?feature=mean'].map((at) => [whereAt(at).page, whereAt(at).id]), [['drift', ''], ['drift', '7f']])
  assert.equal(whereAt('#/new').page, 'new')
  assert.deepEqual(whereAt('#/welcome/aB_3-x'), { page: 'welcome', id: 'aB_3-x', query: '' })
  const unknown = ['', '#', '#/', '#/scans', '#/scans/a/b', '#/scans/..%2f', '#/quality/7', '#/nothing']
  for (const at of unknown) assert.equal(whereAt(at).page, 'home', at)
})

test('an address that was made is understood again, and what is empty is not in it', () => {
  const href = hrefTo('quality', { by: 'kind', from: '', to: '2026-11-30' })
  assert.equal(href, '#/quality?by=kind&to=2026-11-30')
  assert.deepEqual(askedIn(whereAt(href).query), { by: 'kind', period: { from: '', to: '2026-11-30' } })
  assert.equal(hrefTo('quality'), '#/quality')
  assert.deepEqual(askedIn('by=nonsense&from=2026-11-31'), { by: 'model', period: { from: '', to: '' } })
})

test('a period holds both of its days, and what is no day is left open', () => {
  const period = periodIn(new URLSearchParams('from=2026-11-27&to=2026-11-27'))
  assert.equal(beginOf(period), Date.UTC(2026, 10, 27))
  assert.equal(endOf(period), Date.UTC(2026, 10, 28))
  for (const day of ['2026-02-30', '2026-13-01', '27.11.2026', '2026-11-27T00:00:00Z', 'today']) {
    assert.deepEqual(periodIn(new URLSearchParams({ from: day, to: day })), { from: '', to: '' }, day)
  }
  assert.deepEqual([beginOf({ from: '', to: '' }), endOf({ from: '', to: '' })], [undefined, undefined])
})

test('work begins with the scans, but for whoever may see none', () => {
  const homes = [['clinician'], ['integrator'], ['admin'], ['scientist'], ['scientist', 'clinician'], ['operator'], []].map(homeOf)
  assert.deepEqual(homes, ['scans', 'scans', 'scans', 'quality', 'scans', 'tenants', 'scans'])
  assert.ok(may(['scientist', 'integrator'], 'models') && !may(['integrator'], 'quality') && !may([], 'scans'))
})

const rate: Rate = { rate: 0.125, low: 0.035, high: 0.36, count: 2, of: 16 }

test('a rate is said with its interval and its counts, and none is made up', () => {
  assert.deepEqual(rateOf(rate), { value: 0.125, low: 0.035, high: 0.36, words: '12.5 % (3.5 % to 36.0 %), 2 of 16' })
  assert.equal(rateOf({ ...rate, rate: 0, count: 0, low: 0 })?.words, '0.0 % (0.0 % to 36.0 %), 0 of 16')
  assert.deepEqual([rateOf(null), rateOf({ ...rate, rate: null, count: 0, of: 0 })], [undefined, undefined])
})

test('a mean overlap says of how many scans it is, and what it is without the empty ones', () => {
  const dice = { mean: 0.84, low: 0.8, high: 0.881, count: 14, empty: 3, mean_not_empty: 0.797 }
  assert.equal(diceOf(dice)?.words, '0.84 (0.80 to 0.88), 14 scans')
  assert.match(diceNotEmptyOf(dice), /3 are empty in both and count 1\. All others: 0\.80\./)
  assert.equal(diceNotEmptyOf({ ...dice, empty: 0 }), '')
  assert.match(diceNotEmptyOf({ ...dice, empty: 14, mean_not_empty: null }), /no others/)
  assert.equal(diceOf(null), undefined)
})

test('the share that was reviewed is of all groups together', () => {
  const groups = [{ scans: 90, reviewed: 9 }, { scans: 10, reviewed: 0 }]
  assert.match(reviewedOf(groups), /^Readers have judged 9 of 100 scans \(9\.0 %\)\. They were not drawn by chance/)
  assert.match(reviewedOf([{ scans: 0, reviewed: 0 }]), /^No scan/)
})

const feature: DriftFeature = {
  name: 'mean', verdict: 'stable', scans: 40, median: 0.51, reference_median: 0.5, psi: 0.02, ks_statistic: 0.1, ks_p_value: 0.4,
  histogram: { edges: [0, 0.5, 1], reference: [0.5, 0.5], window: [0.25, 0.5], below: 0, above: 0.25 },
}

test('the gravest feature comes first and is shown, unless another one is asked for', () => {
  const features: DriftFeature[] = [
    { ...feature, name: 'std', verdict: 'too_few_scans' },
    feature,
    { ...feature, name: 'p99', verdict: 'drift' },
    { ...feature, name: 'p01', verdict: 'drift' },
  ]
  assert.deepEqual(byGravity(features).map(({ name }) => name), ['p01', 'p99', 'mean', 'std'])
  assert.equal(featureIn(features, '')?.name, 'p01')
  assert.equal(featureIn(features, 'feature=std')?.name, 'std')
  assert.equal(featureIn(features, 'feature=nothing')?.name, 'p01')
  assert.equal(featureIn([], ''), undefined)
})

test('a histogram has a bin at each end for what lies beyond, and the highest share fills it', () => {
  const { bars, line, top } = plotOf(feature.histogram!)
  assert.equal(top, 0.5)
  assert.deepEqual(bars.map(({ height }) => height), [0, 100, 100, 0])
  assert.equal(line, 'M0 100V100H25V50H50V0H75V50H100V100')
  assert.match(plotWords(feature), /training 0\.5, in this period 0\.51\. 25\.0 % /)
  assert.match(plotWords({ ...feature, median: null, histogram: null }), /in this period not known\. 0\.0 % /)
})

test('numbers of drift have three figures, and a small p-value is not called none', () => {
  assert.deepEqual([0.123456, 1234.5, 0, null].map(three), ['0.123', '1230', '0', ''])
  assert.deepEqual([0.04567, 0.0004, 0, null].map(pValue), ['0.0457', 'below 0.001', 'below 0.001', ''])
  assert.deepEqual(['sharpness', 'bottleneck_7'].map(featureName), ['Sharpness', 'bottleneck_7'])
})

test('a filter is found again by its name, and any other name filters nothing', () => {
  const names = Object.entries(FILTERS).flatMap(([by, all]) => all.map((one) => `${by}:${one}`))
  assert.equal(names.length, 14)
  for (const name of names) assert.equal(nameOf(filterNamed(name)), name)
  for (const name of ['', 'answer', 'answer:queued', 'answer:', 'reader:eve']) assert.deepEqual(filterNamed(name), ALL, name)
  assert.equal(nameOf(ALL), '')
})

test('what is listed is what is known now, not what it was when it came', () => {
  const scan = { answer: 'found', state: 'done', priority: 'routine' } as const
  const listed = (name: string) => matches(filterNamed(name), scan, 'conflict')
  assert.deepEqual(['', 'answer:found', 'state:done', 'review:conflict'].map(listed), [true, true, true, true])
  assert.deepEqual(['answer:failed', 'state:queued', 'priority:stat', 'review:agreed'].map(listed), [false, false, false, false])
  assert.ok(!matches(filterNamed('review:unreviewed'), scan, undefined), 'not known is no state of review')
})

test('steps through the list begin at its first or last row and end there', () => {
  assert.deepEqual([stepped(3, -1, 1), stepped(3, -1, -1), stepped(3, 0, 1), stepped(3, 2, 1), stepped(3, 0, -1)], [0, 2, 1, 2, 0])
  assert.equal(stepped(0, -1, 1), -1)
})

test('a word that settles others names those that count, and no word names any by chance', () => {
  const word = (id: string, supersedes: string | null = null, adjudicates: string[] = []) => ({ id, supersedes, adjudicates })
  const said = [word('5', null, ['3']), word('4', '1'), word('3'), word('2'), word('1')]
  assert.deepEqual(counted(said).map(({ id }) => id), ['5', '4', '2'])
  const agree = judged(NOTHING, 'agree', 'found')
  assert.deepEqual(saidIn({ ...agree, settles: ['4', '2'] }, [])?.adjudicates, ['4', '2'])
  assert.ok(!('adjudicates' in (saidIn(agree, []) ?? {})))
})

test('the page speaks what was chosen, else the first language of the browser that it knows, else English', () => {
  assert.equal(languageOf('fr', ['en-GB']), 'fr')
  assert.equal(languageOf(null, ['de-DE', 'fr-SN', 'en']), 'fr')
  assert.equal(languageOf(null, ['EN-us']), 'en')
  assert.equal(languageOf('xx', ['de']), 'en')
  assert.equal(languageOf(null, []), 'en')
})

test('dates are the browser’s, but in a language that was chosen against it', () => {
  assert.equal(localeOf(null, ['de-DE', 'fr']), undefined)
  assert.equal(localeOf('fr', ['fr-SN']), undefined)
  assert.equal(localeOf('fr', ['en-GB']), 'fr')
  assert.equal(localeOf('en', ['fr-SN']), 'en-GB')
  assert.equal(localeOf('xx', []), undefined)
})

test('a word that is made of others has all of them in every language', () => {
  /** Each function's words, said with signs that are found again. */
  const lost = (table: object, path: string): string[] =>
    Object.entries(table).flatMap(([name, value]: [string, unknown]) => {
      const at = `${path}.${name}`
      if (typeof value === 'object' && value !== null) return lost(value, at)
      if (typeof value !== 'function') return []
      const signs = Array.from({ length: value.length }, (_, index) => `sign${index}`)
      const said = String(value(...signs))
      return signs.filter((sign) => !said.includes(sign)).map((sign) => `${at} ${sign}`)
    })
  assert.deepEqual(lost(TABLES.fr, '').sort(), lost(TABLES.en, '').sort())
})
