import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deliveryStateIn } from './api/deliveries'
import type { DriftFeature, DriftWindow } from './api/drift'
import type { Version } from './api/models'
import type { OfflineEvaluation, QualityGroup, Rate } from './api/quality'
import { histogramOf, intervalsOf, plotsOf, saidOf, trendOf, versionsOf, type Chart } from './chart'
import { counted, judged, NOTHING, saidIn } from './draft'
import { alike, byGravity, distance, featureIn, featureName, plotWords, pValue, three, windowName, windowsIn } from './drift'
import { ALL, askedOf, chosenIn, filterIn, FILTERS, isContradiction, isSame, matches, stepped, type Filter } from './filter'
import { languageOf, localeOf } from './language'
import { beginOf, endOf, periodIn } from './period'
import {
  alarmOf,
  askedIn,
  diceNotEmptyOf,
  diceOf,
  evaluationOf,
  expectedOf,
  groupName,
  keptDiceOf,
  keptRateOf,
  offlineOf,
  offlineRateOf,
  rateOf,
  reasonsOf,
  refusalsOf,
  refusedOf,
  remarksOf,
  reviewedOf,
  slicesOf,
  weightedOf,
} from './quality'
import { askedOfModels, modelsIn } from './models'
import { ordered, orderIn, ORDERS, sortOf, type Order } from './order'
import { homeOf, may } from './roles'
import { hrefTo, whereAt } from './routes'
import { goneIn } from './api/follow'
import { Problem } from './api/problem'
import type { Scan } from './api/scans'
import { found } from './search'
import { fateOf } from './series'
import { askedBy, askedWith, NOTHING_ASKED, refusalOf, wrongOf } from './signing'
import { bytesOf, textOf } from './webauthn'
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
  assert.deepEqual(whereAt('#/signed-in/st-marys?code=a+b&state=s'), { page: 'signed-in', id: 'st-marys', query: 'code=a+b&state=s' })
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

test('the address says which versions are compared, none of them too, and which deliveries are listed', () => {
  assert.deepEqual(modelsIn(''), { compare: undefined, kind: '' })
  for (const compare of [undefined, [], ['a/1'], ['a/1', 'b/0.2-rc.1']]) {
    for (const kind of ['', 'flair', 't1_contrast'] as const) {
      const asked = { compare, kind }
      assert.deepEqual(modelsIn(whereAt(hrefTo('models', askedOfModels(asked))).query), asked)
    }
  }
  assert.equal(hrefTo('models', askedOfModels({ compare: undefined, kind: '' })), '#/models')
  assert.deepEqual(modelsIn('compare=a/1,b/1,c/1,d/1&kind=ct'), { compare: ['b/1', 'c/1', 'd/1'], kind: '' })
  assert.deepEqual(['state=failed', 'state=lost', ''].map(deliveryStateIn), ['failed', '', ''])
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
  assert.ok(may(['clinician', 'adjudicator'], 'adjudication') && !may(['clinician', 'admin'], 'adjudication'))
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

test('what was measured offline says where, and that its rates are of slices', () => {
  const figure = { value: 0.0625, low: 0.03, high: 0.1 }
  assert.equal(offlineOf(figure, 'gate-3'), 'Offline (gate-3): 0.063 (0.030 to 0.100).')
  assert.equal(offlineRateOf(figure, 'gate-3'), 'Offline, of slices (gate-3): 6.3 % (3.0 % to 10.0 %).')
  assert.deepEqual([offlineOf(undefined, ''), offlineRateOf(undefined, '')], ['', ''])
})

test('what a model expects stands beside what was found, and why scans have no answer is counted', () => {
  const expected = { expected: 0.8, observed: 0.7, count: 3, all: 0.75, all_count: 40 }
  assert.match(expectedOf(expected), /^0\.75, over 40 scans\. .*0\.80 expected, 0\.70 found \(3\)\.$/)
  assert.equal(expectedOf({ ...expected, observed: null }), '0.75, over 40 scans.')
  assert.deepEqual(refusalsOf({ stopped: 2, later: 1 }), ['later: 1', 'Model stopped: 2'])
})

test('files that were refused at the door are counted by why, also where the why is of a later version', () => {
  assert.deepEqual(refusedOf({ 'not-a-head': 3, blank: 1, 'later-problem': 2 }), ['Blank: 1', 'later-problem: 2', 'No head: 3'])
  assert.deepEqual(refusedOf({}), [])
})

test('the newest evaluation on a kept set stands beside the live figures with its data and its time', () => {
  const one = (id: string, version: string): OfflineEvaluation => ({
    id, model: { name: 'm', version, sha256: 'ab' }, data_version: '0123456789abcdef', evaluated_at: null,
    dice: { mean: 0.8, low: 0.75, high: 0.85, count: 9, empty: 0, mean_not_empty: 0.8 }, far: rate, frr: { ...rate, rate: null, count: 0, of: 0 },
  })
  const evaluations = [one('c', '2'), one('b', '1'), one('a', '1')]
  const kept = evaluationOf(evaluations, 'm/1')
  assert.equal(kept?.id, 'b')
  assert.equal(evaluationOf(evaluations, 'm/3'), undefined)
  assert.equal(keptDiceOf(kept), 'Offline, 9 patients (data 01234567): 0.800 (0.750 to 0.850).')
  const emptied = kept?.dice && { ...kept, dice: { ...kept.dice, empty: 2, mean_not_empty: 0.743 } }
  assert.match(keptDiceOf(emptied ?? undefined), /0\.850\)\. Of them 2 are empty in both and count 1\. All others: 0\.74\.$/)
  assert.equal(keptRateOf(kept, 'far'), 'Offline, slices (data 01234567): 12.5 % (3.5 % to 36.0 %), 2 of 16.')
  assert.deepEqual([keptRateOf(kept, 'frr'), keptDiceOf(undefined), keptRateOf(undefined, 'far')], ['', '', ''])
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

/** What is plotted, series by series. */
const valuesOf = ({ series }: Chart) => series.map(({ drawn, values }) => [drawn, ...values])

test('a histogram has a bin at each end for what lies beyond, and the highest share fills it', () => {
  const chart = histogramOf(feature, feature.histogram!)
  assert.equal(chart.up.top, 0.5)
  assert.deepEqual(valuesOf(chart), [['bars', 0, 0.5, 0.5, 0], ['outlines', 0, 0.25, 0.5, 0.25]])
  assert.deepEqual(chart.across.rows, ['Below 0', '0 to 0.5', '0.5 to 1', 'Above 1'])
  assert.deepEqual(chart.across.ticks, [{ at: 0.5, text: '0' }, { at: 1.5, text: '0.5' }, { at: 2.5, text: '1' }])
  assert.equal(chart.across.name, 'Mean brightness, 0 is black, 1 is white')
  assert.equal(saidOf(chart, 1), '0 to 0.5: Training 50.0 %, This period 25.0 %')
  assert.equal(saidOf(chart, 1, [0.125, null]), '0 to 0.5: Training 12.5 %, This period not known')
  assert.match(plotWords(feature), /training 0\.5, in this period 0\.51\. 25\.0 % /)
  assert.match(plotWords({ ...feature, median: null, histogram: null }), /in this period not known\. 0\.0 % /)
})

const seen = (id: string, number: number, psi: number | null, scanner: string | null = null, site: string | null = null): DriftWindow => ({
  id, number, scanner, site, image_kind: 'flair', scans: 40, verdict: 'stable', drifted: false,
  model: { name: 'medseg-mr', version: '1', sha256: 'ab' },
  from: '2026-11-27T09:30:00.000Z', to: '2026-11-27T10:30:00.000Z',
  features: [{ ...feature, psi }],
  thresholds: { scans_min: 30, psi_watch: 0.1, psi_drift: 0.25, p_max: 0.0002 },
})

test('a trend is of windows that watch the same scans, oldest first, and leaves out what was not measured', () => {
  const windows = [seen('c', 3, 0.5), seen('other', 3, 9, 'Acme'), seen('elsewhere', 3, 9, null, 'West'), seen('b', 2, null), seen('a', 1, 0.125)]
  assert.deepEqual(alike(windows, seen('c', 3, 0.5)).map(({ id }) => id), ['a', 'b', 'c'])
  const trend = trendOf(alike(windows, seen('c', 3, 0.5)), 'mean', 'c')
  assert.deepEqual(valuesOf(trend), [['line', 0.125, 0.5]])
  assert.deepEqual([trend.across.ticks.map(({ text }) => text), trend.here, trend.alarms], [['1', '3'], 1, []])
  assert.match(saidOf(trend, 0), /^1 \(.*\): Stability index \(PSI\) 0\.125$/)
  assert.deepEqual(trendOf(windows, 'never', 'c').across.rows, [])
})

test('a trend marks what was announced, and has the bounds of the index, which are none of a discrepancy', () => {
  const windows = [seen('a', 1, 0.05), { ...seen('b', 2, 0.75), drifted: true }]
  const trend = trendOf(windows, 'mean', 'elsewhere')
  assert.deepEqual([trend.alarms, trend.here], [[1], undefined])
  assert.deepEqual(trend.bounds, [{ at: 0.1, name: 'Worth watching' }, { at: 0.25, name: 'Drift' }])
  assert.ok(trend.up.top > 0.75, 'the marks have room over the highest')
  const embedded = windows.map((window) => ({ ...window, features: [{ ...feature, psi: null, mmd2: 0.5 }] }))
  assert.deepEqual([trendOf(embedded, 'mean', 'b').bounds, valuesOf(trendOf(embedded, 'mean', 'b'))], [[], [['line', 0.5, 0.5]]])
})

test('values stand beside each other with their intervals, and what nothing is known of is left out', () => {
  const chart = intervalsOf({ title: 'Rate', unit: 'Share', written: String, named: [{ name: 'a', estimate: undefined }, { name: 'b', estimate: rateOf(rate) }] }, 'Model')
  assert.deepEqual(chart.across.rows, ['b'])
  assert.deepEqual(valuesOf(chart), [['points', 0.125], ['low', 0.035], ['high', 0.36]])
  assert.equal(saidOf(chart, 0), 'b: Value 0.125, 95 % interval from 0.035, 95 % interval to 0.36')
})

test('quality is plotted as it is in the table, weeks in their order', () => {
  const group = (name: string, count: number) => ({ name, dice: null, far: null, frr: { ...rate, count }, agree: { ...rate, rate: null, of: 0 } }) as unknown as QualityGroup
  const groups = [group('2026-W48', 2), group('2026-W47', 1)]
  const known = (by: 'week' | 'kind') => plotsOf(by, groups).flatMap(({ title, named }) => named.flatMap(({ name, estimate }) => (estimate ? [[title, name, estimate.value]] : [])))
  const title = 'None found where there is a tumour'
  assert.deepEqual(known('week'), [[title, '2026-W47', 0.125], [title, '2026-W48', 0.125]])
  assert.deepEqual(known('kind').map(([, name]) => name), ['2026-W48', '2026-W47'])
})

test('a group that the server has a name for is called in the reader’s words, and one that somebody has named as they wrote it', () => {
  assert.deepEqual([groupName('kind', 'flair'), groupName('size', '0.1 to 1 %'), groupName('site', 'West')], ['FLAIR', '0.1 to 1 %', 'West'])
  for (const by of ['model', 'kind', 'site', 'scanner'] as const) assert.equal(groupName(by, 'unknown'), 'Not known')
  const { sizes } = TABLES.fr.quality
  assert.deepEqual(Object.values(sizes), ['rien de marqué', 'moins de 0,1 % du volume', '0,1 à 1 %', 'plus de 1 %'])
})

test('versions are beside each other where they were measured on the same set, the oldest first', () => {
  const figure = (value: number) => ({ value, low: value / 2, high: 1 })
  const version = (version: string, registered_ms: number, gate_set: string, failure: string | null = null) =>
    ({ name: 'm', version, registered_ms, evaluation: { gate_set, failure, dice: figure(registered_ms / 10), far: figure(0), frr: figure(0) } }) as Version
  const { gateSet, plots } = versionsOf([version('3', 3, 'new'), version('2', 2, 'old'), version('1', 1, 'new'), version('4', 4, 'new', 'no memory')])
  assert.equal(gateSet, 'new')
  assert.deepEqual(plots[0]?.named.map(({ name, estimate }) => [name, estimate?.value]), [['m/1', 0.1], ['m/3', 0.3]])
  assert.deepEqual(versionsOf([]).plots.flatMap(({ named }) => named), [])
})

test('embeddings are as far from the training as their discrepancy says, and how scans were taken as the share beyond it', () => {
  assert.deepEqual([distance(feature), distance({ ...feature, psi: null, mmd2: 0.06 }), distance({ ...feature, psi: null })], [0.02, 0.06, null])
  const taken = [0, 0.5].map((beyond, at) => ({ ...seen(String(at), at + 1, 9), features: [{ ...feature, psi: 9, beyond }] }))
  const trend = trendOf(taken, feature.name, '1')
  assert.deepEqual([trend.up.name, trend.bounds, valuesOf(trend)], ['Share beyond training', [], [['line', 0, 0.5]]])
})

test('a window is named by what its scans have in common, and an address says which one is asked for', () => {
  assert.equal(windowName(seen('a', 1, 0)), 'FLAIR, scanner not known, medseg-mr 1')
  assert.equal(windowName(seen('a', 1, 0, 'Acme Maker 3')), 'FLAIR, Acme Maker 3, medseg-mr 1')
  assert.equal(windowName(seen('a', 1, 0, 'Acme Maker 3', 'West')), 'FLAIR, Acme Maker 3, West, medseg-mr 1')
  assert.deepEqual(windowsIn('a=1&b=2'), { window: '', a: '1', b: '2' })
  assert.deepEqual(windowsIn('window=7&feature=mean'), { window: '7', a: '', b: '' })
})

test('numbers of drift have three figures, and a small p-value is not called none', () => {
  assert.deepEqual([0.123456, 1234.5, 0, null].map(three), ['0.123', '1230', '0', ''])
  assert.deepEqual([0.04567, 0.0004, 0, null].map(pValue), ['0.0457', 'below 0.001', 'below 0.001', ''])
  assert.deepEqual(['sharpness', 'echo_ms', 'bottleneck_7'].map(featureName), ['Sharpness', 'Echo time (TE)', 'bottleneck_7'])
})

const ASKED: Filter = { answer: 'found', state: 'done', priority: 'stat', review: 'conflict', modality: 'MR', site: 'CHU Yaoundé', from: '2026-11-02', to: '2026-11-03' }

test('filters are found again in the address, all at once, and what nobody offers filters nothing', () => {
  assert.deepEqual(filterIn(whereAt(hrefTo('', { ...ASKED })).query), ASKED)
  for (const [by, all] of Object.entries(FILTERS)) {
    for (const one of all) assert.deepEqual(filterIn(`${by}=${one}`), { ...ALL, [by]: one })
  }
  for (const query of ['', 'answer', 'answer=queued', 'reader=eve', 'site=%5C', `site=${'x'.repeat(65)}`, 'from=2026-02-31']) {
    assert.ok(isSame(filterIn(query), ALL), query)
  }
  assert.deepEqual([chosenIn(ALL), chosenIn({ ...ALL, site: 'Kumasi', state: 'done' })], [[], ['state', 'site']])
})

/** Does something where clocks show that zone's time. */
function inZone(zone: string, doing: () => void): void {
  const before = process.env.TZ
  process.env.TZ = zone
  try {
    doing()
  } finally {
    if (before === undefined) delete process.env.TZ
    else process.env.TZ = before
  }
}

test('the server is asked for the moments in which the reader’s days begin and end, and for nothing that nobody asks for', () => {
  assert.deepEqual(askedOf(ALL), {})
  for (const [zone, from, to] of [
    ['UTC', '2026-11-02T00:00:00.000Z', '2026-11-04T00:00:00.000Z'],
    ['Africa/Douala', '2026-11-01T23:00:00.000Z', '2026-11-03T23:00:00.000Z'],
    ['America/New_York', '2026-11-02T05:00:00.000Z', '2026-11-04T05:00:00.000Z'],
  ] as const) {
    inZone(zone, () => assert.deepEqual(askedOf(ASKED), { ...ASKED, from, to }, zone))
  }
  // A day on which the clock is put back has 25 hours.
  const shifted: Filter = { ...ALL, from: '2026-11-01', to: '2026-11-01' }
  inZone('America/New_York', () => assert.deepEqual(askedOf(shifted), { from: '2026-11-01T04:00:00.000Z', to: '2026-11-02T05:00:00.000Z' }))
})

test('what is listed is what is known now, not what it was when it came', () => {
  const scan = { answer: 'found', state: 'done', priority: 'stat', modality: 'MR', site: 'CHU Yaoundé', accepted_ms: Date.parse('2026-11-03T23:59:59') } as const
  assert.ok(matches(ALL, scan, undefined) && matches(ASKED, scan, 'conflict'))
  const others: Partial<Filter>[] = [{ answer: 'failed' }, { state: 'queued' }, { priority: 'routine' }, { review: 'agreed' }, { modality: 'CT' }, { site: 'Kumasi' }, { from: '2026-11-04', to: '' }, { to: '2026-11-02' }]
  for (const other of others) assert.ok(!matches({ ...ASKED, ...other }, scan, 'conflict'), JSON.stringify(other))
  assert.ok(!matches({ ...ALL, review: 'unreviewed' }, scan, undefined), 'not known is no state of review')
})

test('filters that no scan can meet together are known to', () => {
  const contradict = (filter: Partial<Filter>) => isContradiction({ ...ALL, ...filter })
  for (const filter of [{ answer: 'found', state: 'queued' }, { review: 'agreed', state: 'running' }, { review: 'unsure', answer: 'failed' }, { from: '2026-11-03', to: '2026-11-02' }] as const) {
    assert.ok(contradict(filter), JSON.stringify(filter))
  }
  for (const filter of [{}, ASKED, { state: 'queued', priority: 'stat' }, { from: '2026-11-03', to: '2026-11-03' }] as const) {
    assert.ok(!contradict(filter), JSON.stringify(filter))
  }
})

test('steps through the list begin at its first or last row and end there', () => {
  assert.deepEqual([stepped(3, -1, 1), stepped(3, -1, -1), stepped(3, 0, 1), stepped(3, 2, 1), stepped(3, 0, -1)], [0, 2, 1, 2, 0])
  assert.equal(stepped(0, -1, 1), -1)
})

test('the list is sorted by what is asked for, and what is alike in it stays newest first', () => {
  const volumes: Record<string, number> = { c: 0, a: 12.5, b: 3 }
  const scan = (id: string, priority: Scan['priority'] = 'routine') => ({ id, priority, volume_ml: volumes[id] ?? null }) as Scan
  const newest = [scan('e'), scan('d', 'stat'), scan('c'), scan('b', 'stat'), scan('a')]
  const beside = { review: (id: string) => (id < 'c' ? ('unreviewed' as const) : undefined) }
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

test('of a series it is said whether it was chosen, only kept, or asked for', () => {
  const series = (picked: boolean) => ({ score: 0.4, picked, reasons: [], why_not: [] })
  const fate = (picked: boolean, state: Scan['state'], attempt: number) => fateOf({ series: series(picked), state, attempt })
  assert.deepEqual([fate(true, 'queued', 0), fate(true, 'done', 1), fate(true, 'done', 0)], ['picked', 'picked', 'picked'])
  assert.deepEqual([fate(false, 'done', 0), fate(false, 'queued', 0), fate(false, 'done', 1)], ['kept', 'asked', 'asked'])
  assert.equal(fateOf({ series: null, state: 'done', attempt: 0 }), undefined)
})

test('an event of a deleted scan names it, and one that cannot be read names none', () => {
  assert.deepEqual(['{"id":"a"}', '{"id":7}', '{}', 'null', 'no JSON'].map(goneIn), ['a', undefined, undefined, undefined, undefined])
})

test('what was asked for beside a right password is asked of that name and password alone', () => {
  const refused = (status: number, name = '', secondFactor = '') => new Problem({ status, name, title: 'T', detail: 'D', secondFactor })
  const first = askedWith(NOTHING_ASKED, 'ada', 'right')
  assert.deepEqual([first.code, first.change, wrongOf(refused(401), first)], [false, false, 'credentials'])
  const asked = askedBy(refused(403, 'second-factor', 'otpauth://x'), first)
  assert.ok(asked && asked.code && asked.toBe === 'otpauth://x')
  assert.equal(askedBy(refused(401), first), undefined)

  // With that password it is the code; with another name or password it is those.
  const { signIn } = TABLES.en
  assert.equal(refusalOf(refused(401), askedWith(asked, 'ada', 'right')), signIn.wrongCode)
  for (const [name, password] of [['eve', 'right'], ['ada', 'wrong']] as const) {
    const other = askedWith(asked, name, password)
    assert.ok(!other.code && other.toBe === '' && wrongOf(refused(401), other) === 'credentials')
    assert.equal(refusalOf(refused(401), other), signIn.wrong)
  }

  // A key is asked once; what has become of it is said in its own words.
  const question = { challenge: 'AAAA' }
  const keyed = askedBy(new Problem({ status: 403, name: 'second-factor', title: 'T', detail: 'D', securityKey: question }), first)
  assert.ok(keyed && keyed.keys && keyed.question === question && !asked.keys)
  assert.equal(refusalOf(refused(401), keyed, true), TABLES.en.securityKeys.wrong)
  assert.equal(refusalOf(refused(409, 'no-key'), keyed, true), 'T. D')
  assert.equal(wrongOf(refused(409, 'no-key'), keyed), 'code')

  const change = askedBy(refused(403, 'password-change'), asked)
  assert.ok(change && change.code && change.change && wrongOf(refused(400), change) === 'new')
  assert.equal(refusalOf(refused(400), change), 'T. D')
  assert.equal(refusalOf(refused(400), askedWith(change, 'ada', 'wrong')), signIn.wrong)
  assert.equal(refusalOf(refused(503), first), 'T. D')
})

test('why readers do not agree is counted by reasons in the reader’s words, and one to come by its own name', () => {
  assert.deepEqual(reasonsOf({ to_come: 1, outline: 12 }), ['The outline does not fit: 12', 'to_come: 1'])
  assert.deepEqual(reasonsOf({}), [])
})

test('what keys say is base64url, both ways', () => {
  for (const text of ['', 'AA', '-_8', 'Zm9vYg', 'Zm9vYmE', 'Zm9vYmFy']) assert.equal(textOf(bytesOf(text).buffer), text)
  assert.deepEqual([...bytesOf('-_8')], [251, 255])
})

test('remarks are said in the reader’s words, which name no field, and one that is not known in the server’s', () => {
  const names = ['not_by_chance', 'slices_alike', 'latest_words', 'outlined_only', 'sizes_of_marks', 'cut']
  const kinds = [...names.map((name) => ({ name, scans: null })), { name: 'few_reviewed', scans: 30 }, { name: 'hidden_from_readers', scans: 5 }]
  const group = (name: string, scans: number, reviewed: number) => ({ name, scans, reviewed }) as QualityGroup
  const groups = [group('m/1', 40, 30), group('nothing marked', 9, 2), group('over 1 %', 0, 0)]
  const figures = { groups, remarks: [...kinds.map(() => 'in `far`'), 'of a kind to come'], remark_kinds: [...kinds, { name: 'to_come', scans: null }] }
  const said = remarksOf('size', figures)
  assert.ok(said.slice(0, kinds.length).every(({ words, foreign }) => !foreign && !words.includes('`')))
  assert.equal(said[6]?.words, 'Fewer than 30 reviewed scans, too few to conclude anything: nothing marked (2).')
  assert.match(said[7]?.words ?? '', /fewer than 5 reviewed/)
  assert.deepEqual(said[8], { words: 'Of a kind to come.', foreign: true })
  assert.deepEqual(remarksOf('size', { groups, remarks: ['as before'] }), [{ words: 'As before.', foreign: true }])
})
