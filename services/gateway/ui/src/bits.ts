/** A mask as it is kept: a bit for each voxel. */
export function packed(marked: Uint8Array): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(Math.ceil(marked.length / 8))
  for (let at = 0; at < marked.length; at++) if (marked[at]) bits[at >> 3]! |= 1 << (at & 7)
  return bits
}

/** The mask of so many voxels that bits keep; nothing where they are of another. */
export function unpackedBits(bits: Uint8Array, voxels: number): Uint8Array<ArrayBuffer> | undefined {
  if (bits.length !== Math.ceil(voxels / 8)) return undefined
  const marked = new Uint8Array(voxels)
  for (let at = 0; at < voxels; at++) marked[at] = ((bits[at >> 3] ?? 0) >> (at & 7)) & 1
  return marked
}
