import { readFileSync } from 'node:fs'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'

// The font's licence asks to travel with it.
const fontLicence: Plugin = {
  name: 'font-licence',
  apply: (_, { isSsrBuild }) => !isSsrBuild,
  generateBundle() {
    const file = 'node_modules/@fontsource-variable/atkinson-hyperlegible-next/LICENSE'
    this.emitFile({ type: 'asset', fileName: 'assets/font-licence.txt', source: readFileSync(file) })
  },
}

/** What the client of tus is made of. */
const CLIENT = ['tus-js-client/LICENSE', 'js-base64/LICENSE.md', 'url-parse/LICENSE', 'querystringify/LICENSE', 'requires-port/LICENSE']

// So do theirs.
const clientLicences: Plugin = {
  name: 'client-licences',
  apply: (_, { isSsrBuild }) => !isSsrBuild,
  generateBundle() {
    const texts = CLIENT.map((file) => `${file}\n\n${readFileSync(`node_modules/${file}`, 'utf8')}`)
    this.emitFile({ type: 'asset', fileName: 'assets/client-licences.txt', source: texts.join('\n\n') })
  },
}

export default defineConfig({
  // Relative, so that the page also works behind a path prefix.
  base: './',
  plugins: [svelte(), fontLicence, clientLicences],
  build: {
    target: 'es2022',
    // `default-src 'self'` forbids data: URLs, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  // For `npm run dev` beside a running `medseg serve`.
  server: { proxy: { '/v1': process.env.MEDSEG_URL ?? 'http://127.0.0.1:8080' } },
})
