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

// So do those of what the viewer of volumes, the parser of DICOM, the plots and the client of tus are made of.
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
const PARSER = ['dicom-parser/LICENSE']
const PLOTS = ['uplot/LICENSE']
const CLIENT = ['tus-js-client/LICENSE', 'js-base64/LICENSE.md', 'url-parse/LICENSE', 'querystringify/LICENSE', 'requires-port/LICENSE']

/** Lays the texts of packages into one file; `own` are those that bring none, each with its text. */
function licences(name: string, files: readonly string[], own: readonly (readonly [string, string])[] = []): Plugin {
  return {
    name,
    apply: (_, { isSsrBuild }) => !isSsrBuild,
    generateBundle() {
      const brought = files.map((file) => [file.replace(/\/[^/]*$/, ''), `node_modules/${file}`] as const)
      const texts = [...own, ...brought].map(([of, file]) => `${of}\n\n${readFileSync(file, 'utf8')}`)
      this.emitFile({ type: 'asset', fileName: `assets/${name}.txt`, source: texts.join('\n\n') })
    },
  }
}

export default defineConfig({
  // Relative, so that the page also works behind a path prefix.
  base: './',
  plugins: [
    svelte(),
    fontLicence,
    licences('viewer-licences', VIEWER, [['@niivue/niivue', 'licences/niivue.txt']]),
    licences('parser-licences', PARSER),
    licences('plot-licences', PLOTS),
    licences('client-licences', CLIENT),
  ],
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
