/** Counts the pixels of a PNG that are nearly of a colour; `page` is any page of the browser. */
export function pixelsOf(page, png, colour, tolerance = 40) {
  const work = async ({ base64, colour, tolerance }) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }))
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
    let count = 0
    for (let at = 0; at < data.length; at += 4) {
      if (colour.every((value, channel) => Math.abs(data[at + channel] - value) <= tolerance)) count += 1
    }
    return count
  }
  return page.evaluate(work, { base64: png.toString('base64'), colour, tolerance })
}

/** The first and the last row of a PNG with a pixel that is nearly of a colour, in each of some columns; nothing in a column without one. */
export function rowsOf(page, png, colour, columns, tolerance = 40) {
  const work = async ({ base64, colour, columns, tolerance }) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }))
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    return columns.map((column) => {
      const { data } = context.getImageData(column, 0, 1, bitmap.height)
      const rows = Array.from({ length: bitmap.height }, (_, row) => row)
      const alike = rows.filter((row) => colour.every((value, channel) => Math.abs(data[4 * row + channel] - value) <= tolerance))
      return alike.length > 0 ? [alike[0], alike.at(-1)] : []
    })
  }
  return page.evaluate(work, { base64: png.toString('base64'), colour, columns, tolerance })
}
