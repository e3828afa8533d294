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
