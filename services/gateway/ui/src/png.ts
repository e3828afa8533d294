const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

/** A grey PNG of 8 bits: a canvas would write colours, and what it draws it may colour-manage. */
export async function greyPng(pixels: Uint8Array, rows: number, columns: number): Promise<Blob> {
  const header = new Uint8Array(13)
  const sizes = new DataView(header.buffer)
  sizes.setUint32(0, columns)
  sizes.setUint32(4, rows)
  header[8] = 8
  // Each line begins with its filter, which is none.
  const lines = new Uint8Array(rows * (columns + 1))
  for (let row = 0; row < rows; row++) {
    lines.set(pixels.subarray(row * columns, (row + 1) * columns), row * (columns + 1) + 1)
  }
  // What the browser calls deflate is zlib's form of it, as PNG has it.
  const packed = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream('deflate')))
  const data = new Uint8Array(await packed.arrayBuffer())
  const parts = [Uint8Array.from(SIGNATURE), chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', new Uint8Array(0))]
  return new Blob(parts, { type: 'image/png' })
}

function chunk(name: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.length + 12)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  bytes.set(Array.from(name, (letter) => letter.charCodeAt(0)), 4)
  bytes.set(data, 8)
  view.setUint32(data.length + 8, checksum(bytes.subarray(4, data.length + 8)))
  return bytes
}

/** CRC-32, as PNG has it. */
function checksum(bytes: Uint8Array): number {
  let rest = 0xffffffff
  for (const byte of bytes) {
    rest ^= byte
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1
  }
  return (rest ^ 0xffffffff) >>> 0
}
