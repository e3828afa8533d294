/** What a screen reader is told when something changes by itself. */
class Announcer {
  words = $state('')

  say(words: string): void {
    this.words = words
  }
}

export const announcer = new Announcer()
