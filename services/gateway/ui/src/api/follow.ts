import { request } from './http'
import { Problem } from './problem'
import { scanIn, type Scan } from './scans'
import { eventsOf } from './sse'
import { heard, pause } from './watch'

/** The server ends a stream after a while: it is opened again at once, and ever later where it cannot be. */
const PAUSE_MS = 500
const PAUSE_LONGEST_MS = 30_000

/** What is heard of all scans. */
export interface Hearing {
  seen(scan: Scan): void
  gone(id: string): void
  /** Whether the stream brings anything; while it does not, somebody asks again and again. */
  live(live: boolean): void
}

/** Tells of each change of the hospital's scans, in one stream, until `signal` aborts. */
export async function follow(hearing: Hearing, signal: AbortSignal): Promise<void> {
  const place = { last: '' }
  let wait = PAUSE_MS
  while (!signal.aborted) {
    try {
      await listen(place, hearing, signal)
      wait = PAUSE_MS
    } catch (cause) {
      if (signal.aborted) return
      hearing.live(false)
      // Who may not hear it is told so once.
      if (cause instanceof Problem && !cause.transient) return
      wait = Math.min(wait * 2, PAUSE_LONGEST_MS)
    }
    await pause(wait, signal)
  }
}

/** Hears one stream to its end; another goes on behind the last event that was heard. */
async function listen(place: { last: string }, hearing: Hearing, signal: AbortSignal): Promise<void> {
  const silence = new AbortController()
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (place.last) headers['last-event-id'] = place.last
  try {
    const response = await request('v1/events', { headers, signal: AbortSignal.any([signal, silence.signal]) })
    if (!response.body) throw new Error('a stream without a body')
    for await (const { event, data, id } of eventsOf(alive(heard(response.body, silence), hearing))) {
      if (signal.aborted) return
      if (event === 'problem') throw new Error('the stream broke off')
      tell(event, data, hearing)
      if (id) place.last = id
    }
  } finally {
    silence.abort()
  }
}

async function* alive(chunks: AsyncIterable<string>, hearing: Hearing): AsyncGenerator<string> {
  for await (const chunk of chunks) {
    hearing.live(true)
    yield chunk
  }
}

function tell(event: string, data: string, hearing: Hearing): void {
  const scan = event === 'scan' ? scanIn(data) : undefined
  if (scan) hearing.seen(scan)
  const gone = event === 'deleted' ? goneIn(data) : undefined
  if (gone) hearing.gone(gone)
}

/** The id of the scan that there is no more. */
export function goneIn(data: string): string | undefined {
  try {
    const value: unknown = JSON.parse(data)
    if (value !== null && typeof value === 'object' && 'id' in value && typeof value.id === 'string') return value.id
  } catch {
    // What cannot be read tells of nothing.
  }
  return undefined
}
