import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DriftFeature, DriftWindow } from './api/drift'
import type { Rate } from './api/quality'
import { counted, judged, NOTHING, saidIn } from './draft'
import { alike, byGravity, distance, featureIn, featureName, plotOf, plotWords, pValue, three, trendOf, windowName, windowsIn } from './drift'
import { ALL, FILTERS, filterNamed, matches, nameOf, stepped } from './filter'
import { languageOf, localeOf } from './language'
import { beginOf, endOf, periodIn } from './period'
import { alarmOf, askedIn, diceNotEmptyOf, diceOf, expectedOf, rateOf, refusalsOf, reviewedOf, slicesOf, weightedOf } from './quality'
import { ordered, orderIn, ORDERS, sortOf, type Order } from './order'
import { homeOf, may } from './roles'
import { hrefTo, whereAt } from './routes'
import { goneIn } from './api/follow'
import type { Scan } from './api/scans'
import { found } from './search'
import { firstOf, offeredFor, together } from './together'
import { TABLES } from './words/table'

test('an address says which page it is and what is asked of it, and what nobody knows is home', () => {
  assert.deepEqual(whereAt('#/quality?by=week&from=2026-11-01'), { page: 'quality', id: '', query: 'by=week&from=2026-11-01' })
  assert.deepEqual(whereAt('#/scans/0198-a'), { page: 'scan', id: '0198-a', query: '' })
  assert.deepEqual(['#/report', '#/report/7'].map((at) => whereAt(at).id), ['', '7'])
  assert.deepEqual(['#/drift', '#/drift/7f?feature=mean'].map((at) => [whereAt(at).page, whereAt(at).id]), [['drift', ''], ['drift', '7f']])
  assert.equal(whereAt('#/new').page, 'new')
  assert.equal(whereAt('#/deliveries').page, 'deliveries')
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
  assert.ok(may(['integrator'], 'deliveries') && !may(['integrator'], 'destinations') && !may(['clinician'], 'deliveries'))
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

test('a rate by weight and by slice is said as such, and nothing where nothing is known', () => {
  assert.equal(weightedOf({ rate: 0.25, low: 0.1, high: 0.5, effective: 7.5 }), 'By weight: 25.0 % (10.0 % to 50.0 %).')
  assert.equal(slicesOf(rate), 'Slices: 12.5 % (3.5 % to 36.0 %), 2 of 16.')
  assert.deepEqual([weightedOf(null), weightedOf(undefined), slicesOf(null)], ['', '', ''])
})

test('what a model expects stands beside what was found, and why scans have no answer is counted', () => {
  const expected = { expected: 0.8, observed: 0.7, count: 3, all: 0.75, all_count: 40 }
  assert.match(expectedOf(expected), /^0\.75, over 40 scans\. .*0\.80 expected, 0\.70 found \(3\)\.$/)
  assert.equal(expectedOf({ ...expected, observed: null }), '0.75, over 40 scans.')
  assert.deepEqual(refusalsOf({ stopped: 2, later: 1 }), ['later: 1', 'Model stopped: 2'])
})

test('an alarm says how strong the evidence is and how often it cries wolf', () => {
  const alarm = { error_max: 0.2, budget_scans: 1000, of: 40, errors: 5, peak: 3.2, stands: false }
  assert.match(alarmOf('m/1', alarm), /^m\/1: 5 of 40 .* 20\.0 % may be\. .* 3\.20 of 1000\.$/)
  assert.match(alarmOf('m/1', { ...alarm, stands: true }), /once in 1000 confirmed scans at most\.$/)
  assert.equal(alarmOf('m/1', { ...alarm, of: 0 }), '')
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

const seen = (id: string, number: number, psi: number | null, scanner: string | null = null): DriftWindow => ({
  id, number, scanner, image_kind: 'flair', scans: 40, verdict: 'stable', drifted: false,
  model: { name: 'medseg-mr', version: '1', sha256: 'ab' },
  from: '2026-11-27T09:30:00.000Z', to: '2026-11-27T10:30:00.000Z',
  features: [{ ...feature, psi }],
  thresholds: { scans_min: 30, psi_watch: 0.1, psi_drift: 0.25, p_max: 0.0002 },
})

test('a trend is of windows that watch the same scans, oldest first, and leaves out what was not measured', () => {
  const windows = [seen('c', 3, 0.5), seen('other', 3, 9, 'Acme'), seen('b', 2, null), seen('a', 1, 0.125)]
  assert.deepEqual(alike(windows, seen('c', 3, 0.5)).map(({ id }) => id), ['a', 'b', 'c'])
  const trend = trendOf(alike(windows, seen('c', 3, 0.5)), 'mean')
  assert.deepEqual(trend.points.map(({ id, x, y }) => [id, x, y]), [['a', 25, 75], ['c', 75, 0]])
  assert.deepEqual([trend.line, trend.top], ['M25 75L75 0', 0.5])
  assert.match(trend.points[0]?.words ?? '', /0\.125$/)
  assert.deepEqual(trendOf(windows, 'never').points, [])
})

test('embeddings are as far from the training as their discrepancy says', () => {
  assert.deepEqual([distance(feature), distance({ ...feature, psi: null, mmd2: 0.06 }), distance({ ...feature, psi: null })], [0.02, 0.06, null])
})

test('a window is named by what its scans have in common, and an address says which one is asked for', () => {
  assert.equal(windowName(seen('a', 1, 0)), 'FLAIR, scanner not known, medseg-mr 1')
  assert.equal(windowName(seen('a', 1, 0, 'Acme Maker 3')), 'FLAIR, Acme Maker 3, medseg-mr 1')
  assert.deepEqual(windowsIn('a=1&b=2'), { window: '', a: '1', b: '2' })
  assert.deepEqual(windowsIn('window=7&feature=mean'), { window: '7', a: '', b: '' })
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

test('the list is sorted by what is asked for, and what is alike in it stays newest first', () => {
  const scan = (id: string, priority: Scan['priority'] = 'routine') => ({ id, priority }) as Scan
  const newest = [scan('e'), scan('d', 'stat'), scan('c'), scan('b', 'stat'), scan('a')]
  const volumes: Record<string, number> = { c: 0, a: 12.5, b: 3 }
  const beside = { review: (id: string) => (id < 'c' ? ('unreviewed' as const) : undefined), volume: (id: string) => volumes[id] }
  const names = (order: Order) => ordered(newest, order, beside).map(({ id }) => id).join('')
  assert.deepEqual(ORDERS.map(names), ['edcba', 'dbeca', 'abced', 'baedc'])
  assert.equal(newest.map(({ id }) => id).join(''), 'edcba', 'and the list that came is as it was')
})

test('an address says how the list is sorted, and nothing of what is so anyway', () => {
  assert.deepEqual(ORDERS.map((order) => hrefTo('', sortOf(order))), ['#/', '#/?sort=urgent', '#/?sort=volume', '#/?sort=unreviewed'])
  for (const order of ORDERS.slice(1)) assert.equal(orderIn(whereAt(hrefTo('', sortOf(order))).query), order)
  assert.equal(orderIn(whereAt('#/scans/7?sort=urgent').query), 'urgent')
  for (const query of ['', 'sort=', 'sort=oldest', 'by=urgent']) assert.equal(orderIn(query), undefined, query)
})

test('a row is found by words of it, whatever their case, accents and order, and only if it has all of them', () => {
  const row = ['Found', 'MR, DICOM', 'Müller, Éva · P-7', '31 Jan 2026 · MRI head']
  for (const text of ['', 'mull', 'eva muller', 'P-7 found', 'MÜLLER, éva', ' head ']) assert.ok(found(text, row), text)
  for (const text of ['eva schmidt', 'p-8', 'none', 'foundmr']) assert.ok(!found(text, row), text)
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

test('scans of one study, or of one batch, are one row where the first of them stands', () => {
  const scan = (id: string, study: string | null, batch: string | null) => ({ id, study, batch }) as Scan
  const list = [scan('a', null, null), scan('b', 's', 'b1'), scan('c', 't', 'b1'), scan('d', null, 'b2'), scan('e', 's', null), scan('f', null, 'b2')]
  const rows = together(list).map((row) => [row.group?.key ?? row.scan?.id, row.group?.scans.map(({ id }) => id).join('')])
  assert.deepEqual(rows, [['a', undefined], ['study:s', 'be'], ['c', undefined], ['batch:b2', 'df']])
  assert.deepEqual(together(list).map((row) => firstOf(row)?.id), ['a', 'b', 'c', 'd'])
  assert.deepEqual(together([]), [])
})

test('what waits may be urgent, what has no answer is analysed again, and what has one is left as it is', () => {
  const offered = (state: Scan['state'], answer: Scan['answer'], priority: Scan['priority'] = 'routine') => offeredFor({ state, answer, priority })
  assert.deepEqual([offered('queued', null), offered('queued', null, 'stat'), offered('running', null)], ['urgent', 'routine', undefined])
  assert.deepEqual([offered('done', 'failed'), offered('done', 'not_analysable'), offered('done', 'found'), offered('done', 'none_found')], ['retry', 'retry', undefined, undefined])
})

test('an event of a deleted scan names it, and one that cannot be read names none', () => {
  assert.deepEqual(['{"id":"a"}', '{"id":7}', '{}', 'null', 'no JSON'].map(goneIn), ['a', undefined, undefined, undefined, undefined])
})
