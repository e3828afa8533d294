import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
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

// What the viewer of volumes is made of asks for the same; its package brings no text of its own.
const VIEWER = [
  '@lukeed/uuid/license',
  '@ungap/structured-clone/LICENSE',
  '@zarrita/storage/LICENSE',
  'array-equal/LICENSE',
  'fflate/LICENSE',
  'gl-matrix/LICENSE.md',
  'nifti-reader-js/LICENSE',
  'numcodecs/LICENSE',
  'zarrita/LICENSE',
]
const viewerLicences: Plugin = {
  name: 'viewer-licences',
  apply: (_, { isSsrBuild }) => !isSsrBuild,
  generateBundle() {
    const own = `@niivue/niivue\n\n${readFileSync('licences/niivue.txt', 'utf8')}`
    const others = VIEWER.map((file) => `${file.replace(/\/[^/]*$/, '')}\n\n${readFileSync(`node_modules/${file}`, 'utf8')}`)
    this.emitFile({ type: 'asset', fileName: 'assets/viewer-licences.txt', source: [own, ...others].join('\n\n') })
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
  plugins: [svelte(), fontLicence, viewerLicences, clientLicences],
  // The viewer reads Zarr, too, packed in ways that bring 1.4 MB of WebAssembly: nothing here is.
  resolve: { alias: [{ find: /^numcodecs\/.+$/, replacement: fileURLToPath(new URL('src/nothing.ts', import.meta.url)) }] },
  build: {
    target: 'es2022',
    // `default-src 'self'` forbids data: URLs, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    // The viewer of volumes is 0.9 MB, and comes when it is asked for.
    chunkSizeWarningLimit: 1000,
  },
  // For `npm run dev` beside a running `medseg serve`.
  server: { proxy: { '/v1': process.env.MEDSEG_URL ?? 'http://127.0.0.1:8080' } },
})
