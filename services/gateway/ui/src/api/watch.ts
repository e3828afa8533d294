import { request } from './http'
import { Problem } from './problem'
import { getScan, pathOf, scanIn, type Scan } from './scans'
import { eventsOf } from './sse'

/** A stream that says nothing for so long is taken for dead; the server sends comments more often. */
const SILENCE_MS = 45_000
const POLL_MS = 1_500
const POLL_LONGEST_MS = 15_000

/**
 * Calls `seen` with the scan after each change, until it is done or `signal` aborts.
 *
 * Listens to the event stream, and asks again and again where a proxy or a fault keeps the stream from coming.
 */
export async function watch(id: string, seen: (scan: Scan) => void, signal: AbortSignal): Promise<void> {
  let wait = POLL_MS
  while (!signal.aborted) {
    if (await listen(id, seen, signal)) return
    try {
      const scan = await getScan(id, signal)
      seen(scan)
      if (scan.state === 'done') return
      wait = POLL_MS
    } catch (cause) {
      if (signal.aborted) return
      if (cause instanceof Problem && !cause.transient) throw cause
      wait = Math.min(wait * 2, POLL_LONGEST_MS)
    }
    await pause(wait, signal)
  }
}

/** Whether the stream brought the scan to its end. */
async function listen(id: string, seen: (scan: Scan) => void, signal: AbortSignal): Promise<boolean> {
  const silence = new AbortController()
  const headers = { accept: 'text/event-stream' }
  try {
    const either = AbortSignal.any([signal, silence.signal])
    const response = await request(`${pathOf(id)}/events`, { headers, signal: either })
    if (!response.body) return false
    for await (const { data } of eventsOf(heard(response.body, silence))) {
      const scan = scanIn(data)
      if (!scan) continue
      seen(scan)
      if (scan.state === 'done') return true
    }
  } catch (cause) {
    if (cause instanceof Problem && !cause.transient) throw cause
    // A broken stream is what polling is for.
  } finally {
    silence.abort()
  }
  return false
}

/** The stream as text; a stream that says nothing for too long is broken off. */
export async function* heard(body: ReadableStream<Uint8Array>, silence: AbortController): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let timer = 0
  const listening = () => {
    clearTimeout(timer)
    timer = window.setTimeout(() => silence.abort(), SILENCE_MS)
  }
  try {
    listening()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      listening()
      yield decoder.decode(value, { stream: true })
    }
  } finally {
    clearTimeout(timer)
  }
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
