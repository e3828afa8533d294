import { getDriftReport, makeReport, type DriftReport } from '../api/drift'
import type { Period } from '../period'

/** The reports of drift that were made or opened since somebody signed in, newest first: the server lists none. */
class DriftReports {
  list = $state.raw<readonly DriftReport[]>([])
  #reader = {}

  get(id: string): DriftReport | undefined {
    return this.list.find((report) => report.id === id)
  }

  async make(period: Period): Promise<DriftReport> {
    const reader = this.#reader
    const report = await makeReport(period)
    if (reader === this.#reader) this.#keep(report)
    return report
  }

  /** Fetches a report, unless it is here: one never changes. */
  async open(id: string, signal: AbortSignal): Promise<void> {
    if (this.get(id)) return
    const reader = this.#reader
    const report = await getDriftReport(id, signal)
    if (reader === this.#reader) this.#keep(report)
  }

  /** Forgets all of them: somebody else may sign in. */
  clear(): void {
    this.#reader = {}
    this.list = []
  }

  #keep(report: DriftReport): void {
    const others = this.list.filter(({ id }) => id !== report.id)
    this.list = [report, ...others].sort((a, b) => b.created_ms - a.created_ms)
  }
}

export const driftReports = new DriftReports()
