/** Stands where a package asks for what the page never needs: see `vite.config.ts`. */
export default undefined
