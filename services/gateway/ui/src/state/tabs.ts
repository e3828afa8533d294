const CHANNEL = 'medseg.session'
/** How long a tab that is opened waits for what others say. */
const PATIENCE_MS = 150
/** Of moves and keys, others are told so often at most. */
const TOLD_EVERY_MS = 5_000

/** A session as one tab tells others of it. */
export interface Shared {
  /** Made at the sign-in: what tabs know a session by, while its tokens change. */
  id: string
  userName: string
  access: string
  expiresAt: number
  refresh: string
  /** Whether nobody has touched its tab for long. */
  locked: boolean
}

type Message =
  | { kind: 'asked' | 'touched' }
  | { kind: 'told'; session: Shared }
  | { kind: 'ended'; id: string }

/** What a tab does about what others say. */
export interface Listener {
  /** The session, where this tab has one to share. */
  mine: () => Shared | undefined
  told: (session: Shared) => void
  ended: (id: string) => void
  touched: () => void
}

/**
 * What the tabs of one browser tell each other, and nobody else: the browser hands it to pages of this origin alone.
 *
 * A refresh token works once. Tabs that share a session, as a tab and its duplicate do, have to hear of its successor: the second use
 * would look like theft.
 */
export class Tabs {
  #channel: BroadcastChannel | undefined
  readonly #listener: Listener
  #toldAt = 0

  constructor(listener: Listener) {
    this.#listener = listener
  }

  /** From now on others are heard, and hear of this one. */
  listen(): void {
    const listener = this.#listener
    this.#channel = new BroadcastChannel(CHANNEL)
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.kind === 'told') listener.told(data.session)
      else if (data.kind === 'ended') listener.ended(data.id)
      else if (data.kind === 'touched') listener.touched()
      else this.#answer(listener.mine())
    }
  }

  /** Asks for a session; what others have comes to `told` meanwhile. */
  async ask(): Promise<void> {
    this.#say({ kind: 'asked' })
    await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))
  }

  tell(session: Shared): void {
    this.#say({ kind: 'told', session })
  }

  end(id: string): void {
    this.#say({ kind: 'ended', id })
  }

  /** Somebody is here, at `now`. */
  touch(now: number): void {
    if (now - this.#toldAt < TOLD_EVERY_MS) return
    this.#toldAt = now
    this.#say({ kind: 'touched' })
  }

  #answer(session: Shared | undefined): void {
    if (session) this.tell(session)
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message)
  }
}
