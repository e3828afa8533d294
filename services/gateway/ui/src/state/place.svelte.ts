/** Where the page is: the address's fragment, so that the server needs to know one page only. */
class Place {
  /** The scan that is open; empty: the place for new scans. */
  scan = $state('')
  /** Whether the models are shown. */
  models = $state(false)
  /** Whether a problem is reported. */
  report = $state(false)
  /** The scan that it is about; empty: the system. */
  about = $state('')

  constructor() {
    this.#read()
    addEventListener('hashchange', () => this.#read())
  }

  open(id: string): void {
    location.hash = hrefOf(id)
  }

  home(): void {
    location.hash = '#/'
  }

  #read(): void {
    this.models = location.hash === '#/models'
    const report = /^#\/report(?:\/([\w-]+))?$/.exec(location.hash)
    this.report = report !== null
    this.about = report?.[1] ?? ''
    this.scan = /^#\/scans\/([\w-]+)$/.exec(location.hash)?.[1] ?? ''
  }
}

export function hrefOf(id: string): string {
  return `#/scans/${id}`
}

/** Where a problem is reported, with that scan or with the system. */
export function reportHrefOf(scan: string): string {
  return scan ? `#/report/${scan}` : '#/report'
}

export const place = new Place()
