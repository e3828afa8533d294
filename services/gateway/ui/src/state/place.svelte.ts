/** Where the page is: the address's fragment, so that the server needs to know one page only. */
class Place {
  /** The scan that is open; empty: the place for new scans. */
  scan = $state('')
  /** Whether the models are shown. */
  models = $state(false)

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
    this.scan = /^#\/scans\/([\w-]+)$/.exec(location.hash)?.[1] ?? ''
  }
}

export function hrefOf(id: string): string {
  return `#/scans/${id}`
}

export const place = new Place()
