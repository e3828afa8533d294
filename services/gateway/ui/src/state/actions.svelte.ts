import { asProblem } from '../api/problem'
import { deleteScan, prioritise, retryScan, type Scan } from '../api/scans'
import { offeredFor } from '../together'
import { shortId, words } from '../words'
import { announcer } from './announce.svelte'
import { place } from './place.svelte'
import { scans } from './scans.svelte'

/** What is done with the scans of the list. */
class Actions {
  /** The scan that something is done with; empty: none. */
  busy = $state('')
  /** Why it was not done. */
  problem = $state.raw<{ id: string; words: string } | undefined>()

  /** Does what is offered for the scan as it is: urgent, in its turn, or anew. */
  async offered(scan: Scan): Promise<void> {
    const offered = offeredFor(scan)
    if (!offered) return
    await this.#act(scan, async () => {
      scans.replace(await (offered === 'retry' ? retryScan(scan.id) : prioritise(scan.id, offered === 'urgent' ? 'stat' : 'routine')))
      announcer.say(words.list.done[offered](shortId(scan.id)))
    })
  }

  /** Has a series analysed that was only kept. */
  async analyse(scan: Scan): Promise<void> {
    await this.#act(scan, async () => {
      scans.replace(await retryScan(scan.id))
      announcer.say(words.series.analysed(shortId(scan.id)))
    })
  }

  /** Deletes the scan, once it is said that it is meant. */
  async remove(scan: Scan): Promise<void> {
    if (!confirm(words.list.sure(shortId(scan.id)))) return
    await this.#act(scan, async () => {
      await deleteScan(scan.id)
      if (place.scan === scan.id) place.home()
      scans.forget(scan.id)
      announcer.say(words.list.removed(shortId(scan.id)))
    })
  }

  async #act({ id }: Scan, act: () => Promise<void>): Promise<void> {
    if (this.busy) return
    this.busy = id
    this.problem = undefined
    try {
      await act()
    } catch (cause) {
      const { title, detail } = asProblem(cause)
      this.problem = { id, words: `${title}. ${detail}` }
    } finally {
      this.busy = ''
    }
  }
}

export const actions = new Actions()
