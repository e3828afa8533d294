import { hrefTo, whereAt, type Page } from '../routes'

/** Where the page is: the address's fragment, so that the server needs to know one page only. */
class Place {
  #where = $state.raw(whereAt(location.hash))

  constructor() {
    addEventListener('hashchange', () => (this.#where = whereAt(location.hash)))
  }

  get page(): Page {
    return this.#where.page
  }

  /** The scan that is open; empty: none. */
  get scan(): string {
    return this.page === 'scan' ? this.#where.id : ''
  }

  /** The scan that a problem is reported of; empty: it is about the system. */
  get about(): string {
    return this.page === 'report' ? this.#where.id : ''
  }

  /** The report of drift that is open; empty: none. */
  get drift(): string {
    return this.page === 'drift' ? this.#where.id : ''
  }

  /** The token of the link that sets a password; empty: none. */
  get link(): string {
    return this.page === 'welcome' ? this.#where.id : ''
  }

  /** The name of the sign-in that a provider has sent the browser back to; empty: none. */
  get signedIn(): string {
    return this.page === 'signed-in' ? this.#where.id : ''
  }

  /** What the page is asked to show, as the address has it behind a `?`. */
  get query(): string {
    return this.#where.query
  }

  open(id: string): void {
    location.hash = hrefOf(id)
  }

  home(): void {
    location.hash = '#/'
  }

  /** Home, and nobody comes back to where it was: a link that was used is kept by no history. */
  leave(): void {
    location.replace('#/')
  }

  /** To where new scans are sent: on a screen of one column it is no part of home. */
  sending(): void {
    location.hash = '#/new'
  }

  /** Asks the page that is shown for something else: no step that leads back. */
  ask(asked: Readonly<Record<string, string>>): void {
    location.replace(hrefTo(this.scan ? `scans/${this.scan}` : '', asked))
  }

  /** Goes to a page, with what it is asked to show. */
  go(path: string, asked: Readonly<Record<string, string>>): void {
    location.hash = hrefTo(path, asked)
  }
}

/** The address of a scan, with what is asked for beside it. */
export function hrefOf(id: string, asked: Readonly<Record<string, string>> = {}): string {
  return hrefTo(`scans/${id}`, asked)
}

/** Where a problem is reported, with that scan or with the system. */
export function reportHrefOf(scan: string): string {
  return scan ? `#/report/${scan}` : '#/report'
}

export const place = new Place()
