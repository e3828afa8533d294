/** One message of a `text/event-stream`. */
export interface ServerEvent {
  event: string
  data: string
  /** Where a connection that breaks goes on; nothing: the event does not say. */
  id?: string
}

/** Splits a text stream into its events, as the HTML standard's section on server-sent events asks. */
export async function* eventsOf(chunks: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let rest = ''
  let event = ''
  let id: string | undefined
  let data: string[] = []
  for await (const chunk of chunks) {
    rest += chunk
    // A trailing CR may be the first half of CRLF: it waits for the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event: event || 'message', data: data.join('\n'), ...(id === undefined ? {} : { id }) }
        event = ''
        id = undefined
        data = []
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (field === 'event') event = value
      else if (field === 'id') id = value
      else if (field === 'data') data.push(value)
    }
  }
}
