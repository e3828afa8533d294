import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Chart, Drawn } from './chart'

const FONT_PX = 13
/** Of a letter of the font, about. */
const LETTER_PX = 7
const SLANT_DEGREES = 40
const SLANTED_PX = 28
/** Of a name under the axis: the table has the rest. */
const NAME_CHARS_MAX = 16
const ALARM_PX = 11
/** Where a band's ends are among what uPlot is given: it has x before them. */
const [LOW, HIGH] = [1, 2]

/** As the page has them: only what is drawn on paper is turned to its opposite. */
interface Ink {
  font: string
  text: string
  muted: string
  line: string
  edge: string
  bright: string
}

/** A chart on a canvas, as wide as its place. */
export class Plot {
  readonly #plot: uPlot
  readonly #resized: ResizeObserver
  /** Which of the chart's series are drawn, one over the other. */
  readonly #order: readonly number[]

  /** `pointed` is told the row under the pointer. */
  constructor(into: HTMLElement, chart: Chart, pointed: (row: number | undefined) => void) {
    const ink = inkOf(into)
    this.#order = orderOf(chart)
    const series = this.#order.flatMap((index) => chart.series[index] ?? [])
    const options: uPlot.Options = {
      width: into.clientWidth,
      height: into.clientHeight,
      scales: { x: { time: false, range: [-0.5, chart.across.rows.length - 0.5] }, y: { range: [0, chart.up.top] } },
      series: [{}, ...series.map(({ drawn }) => seriesOf(drawn, ink))],
      axes: [acrossOf(chart, ink), upOf(chart, ink)],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      hooks: {
        draw: [(plot) => marked(plot, chart, ink)],
        setCursor: [({ cursor }) => pointed(cursor.idx ?? undefined)],
      },
    }
    const rows = chart.across.rows.map((_, row) => row)
    this.#plot = new uPlot(options, [rows, ...series.map(({ values }) => [...values])], into)
    this.#resized = new ResizeObserver(() => this.#plot.setSize({ width: into.clientWidth, height: into.clientHeight }))
    this.#resized.observe(into)
  }

  /** What is plotted in a row, of one of the chart's series. */
  at(row: number, series: number): number | null {
    return this.#plot.data[1 + this.#order.indexOf(series)]?.[row] ?? null
  }

  close(): void {
    this.#resized.disconnect()
    this.#plot.destroy()
  }
}

/** Bands under what they belong to: their low ends come first, then their high ones. */
function orderOf({ series }: Chart): number[] {
  const rank = (index: number) => ['low', 'high'].indexOf(series[index]?.drawn ?? '')
  const last = series.length
  const at = (index: number) => (rank(index) < 0 ? last : rank(index))
  return [...series.keys()].sort((a, b) => at(a) - at(b))
}

function inkOf(place: HTMLElement): Ink {
  const style = getComputedStyle(place)
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim()
  const font = `${FONT_PX}px ${style.fontFamily}`
  return { font, text: colour('text'), muted: colour('muted'), line: colour('line'), edge: colour('edge'), bright: colour('bright') }
}

function seriesOf(drawn: Drawn, ink: Ink): uPlot.Series {
  const none = { points: { show: false }, paths: () => null }
  switch (drawn) {
    case 'bars':
      return { points: { show: false }, paths: barsOf({ size: [1], gap: 1 }), fill: ink.edge, width: 0 }
    case 'outlines':
      return { points: { show: false }, paths: barsOf({ size: [1] }), stroke: ink.bright, width: 2 }
    case 'line':
      return { stroke: ink.bright, width: 2, points: { show: true, size: 8, fill: ink.bright } }
    case 'points':
      return { stroke: ink.bright, paths: () => null, points: { show: true, size: 9, fill: ink.bright } }
    case 'high':
      return { ...none, fill: ink.edge, width: 0, paths: barsOf({ size: [0.6, 24], disp: { y0: valuesOf(LOW), y1: valuesOf(HIGH) } }) }
    case 'low':
      return none
  }
}

function barsOf(how: uPlot.Series.BarsPathBuilderOpts): uPlot.Series.PathBuilder {
  const { bars } = uPlot.paths
  if (!bars) throw new Error('this build of uPlot has no bars')
  return bars(how)
}

function valuesOf(index: number): uPlot.Series.BarsPathBuilderFacet {
  return { unit: 1, values: ({ data }) => [...(data[index] ?? [])] }
}

function acrossOf({ across: { name, rows, ticks } }: Chart, ink: Ink): uPlot.Axis {
  const shown = (text: string) => (text.length > NAME_CHARS_MAX ? `${text.slice(0, NAME_CHARS_MAX - 1)}…` : text)
  const longest = Math.max(0, ...ticks.map(({ text }) => LETTER_PX * shown(text).length))
  const apart = (width: number) => width / Math.max(1, rows.length)
  const slanted = (width: number) => longest + LETTER_PX > apart(width) && longest > SLANTED_PX
  const step = ({ bbox: { width } }: uPlot) => {
    const across = width / devicePixelRatio
    return Math.max(1, Math.ceil((slanted(across) ? SLANTED_PX : longest + LETTER_PX) / apart(across)))
  }
  return {
    ...axis(name, ink),
    grid: { show: false },
    splits: (plot) => ticks.filter((_, index) => index % step(plot) === 0).map(({ at }) => at),
    values: (_, splits) => splits.map((at) => shown(ticks.find((tick) => tick.at === at)?.text ?? '')),
    rotate: (plot) => (slanted(plot.width) ? SLANT_DEGREES : 0),
    size: (plot) => (slanted(plot.width) ? 24 + 0.65 * longest : 32),
  }
}

function upOf({ up: { name, written } }: Chart, ink: Ink): uPlot.Axis {
  return {
    ...axis(name, ink),
    grid: { stroke: ink.line, width: 1 },
    values: (_, splits) => splits.map(written),
    size: (_, values) => 14 + LETTER_PX * Math.max(3, ...(values ?? []).map((value) => value?.length ?? 0)),
  }
}

function axis(label: string, { font, muted, line }: Ink): uPlot.Axis {
  return { label, labelFont: font, labelSize: 22, labelGap: 2, font, stroke: muted, ticks: { stroke: line, width: 1 } }
}

/** Bounds as dashed lines with their names, what was announced under a triangle, and the row that is looked at in a ring. */
function marked(plot: uPlot, chart: Chart, ink: Ink): void {
  const { ctx, bbox } = plot
  ctx.save()
  ctx.lineWidth = devicePixelRatio
  ctx.strokeStyle = ink.muted
  ctx.fillStyle = ink.muted
  ctx.font = ink.font.replace(`${FONT_PX}px`, `${FONT_PX * devicePixelRatio}px`)
  ctx.textAlign = 'left'
  ctx.textBaseline = 'bottom'
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio])
  for (const { at, name } of chart.bounds) {
    const y = plot.valToPos(at, 'y', true)
    ctx.beginPath()
    ctx.moveTo(bbox.left, y)
    ctx.lineTo(bbox.left + bbox.width, y)
    ctx.stroke()
    ctx.fillText(name, bbox.left + 4 * devicePixelRatio, y - 2 * devicePixelRatio)
  }
  ctx.setLineDash([])
  ctx.fillStyle = ctx.strokeStyle = ink.text
  for (const row of chart.alarms) triangle(ctx, plot.valToPos(row, 'x', true), bbox.top)
  if (chart.here !== undefined) ring(plot, chart.here)
  ctx.restore()
}

function triangle(ctx: CanvasRenderingContext2D, x: number, top: number): void {
  const size = ALARM_PX * devicePixelRatio
  ctx.beginPath()
  ctx.moveTo(x - size / 2, top)
  ctx.lineTo(x + size / 2, top)
  ctx.lineTo(x, top + size)
  ctx.fill()
}

function ring(plot: uPlot, row: number): void {
  const value = plot.data[1]?.[row]
  if (value == null) return
  plot.ctx.lineWidth = 2 * devicePixelRatio
  plot.ctx.beginPath()
  plot.ctx.arc(plot.valToPos(row, 'x', true), plot.valToPos(value, 'y', true), 9 * devicePixelRatio, 0, 2 * Math.PI)
  plot.ctx.stroke()
}
