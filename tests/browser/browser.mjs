import { chromium } from 'playwright-core'

const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  // WebGL 2 without a graphics card, for volumes in three planes.
  '--enable-unsafe-swiftshader',
]

/** The browser that stories are told to: headless, and in a window of nobody's. */
export function launched() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS })
}
