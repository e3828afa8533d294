/** A DICOM file as far as its header goes: nothing that can be analysed, but all that a series is told by. */
export function header({ series, description, orientation, rows = 256 }) {
  const elements = [
    [0x0002, 0x0010, 'UI', '1.2.840.10008.1.2.1'],
    [0x0008, 0x0005, 'CS', 'ISO_IR 192'],
    [0x0008, 0x0016, 'UI', '1.2.840.10008.5.1.4.1.1.4'],
    [0x0008, 0x0060, 'CS', 'MR'],
    [0x0008, 0x103e, 'LO', description],
    [0x0010, 0x0010, 'PN', 'Phantom^Head'],
    [0x0020, 0x000d, 'UI', '2.25.1'],
    [0x0020, 0x000e, 'UI', series],
    [0x0020, 0x0037, 'DS', orientation],
    [0x0028, 0x0010, 'US', Buffer.from([rows & 0xff, rows >> 8])],
  ]
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), ...elements.map(element)])
}

/** An MR image with those elements, in the order of their tags: a file that can be analysed where they say enough. */
export function file(instance, elements) {
  const [image, syntax] = ['1.2.840.10008.5.1.4.1.1.4', '1.2.840.10008.1.2.1']
  const meta = Buffer.concat(
    [
      [0x0002, 0x0002, 'UI', image],
      [0x0002, 0x0003, 'UI', instance],
      [0x0002, 0x0010, 'UI', syntax],
    ].map(element),
  )
  const length = Buffer.alloc(4)
  length.writeUInt32LE(meta.length)
  const named = [[0x0008, 0x0016, 'UI', image], [0x0008, 0x0018, 'UI', instance], ...elements]
  named.sort(([group, number], [otherGroup, other]) => group - otherGroup || number - other)
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), element([0x0002, 0x0000, 'UL', length]), meta, ...named.map(element)])
}

function element([group, number, representation, value]) {
  const bytes = Buffer.from(value)
  const padded = bytes.length % 2 ? Buffer.concat([bytes, Buffer.from(representation === 'UI' ? '\0' : ' ')]) : bytes
  // Pixels may be longer than a length of 16 bits says (PS3.5, 7.1.2).
  const isLong = representation === 'OW'
  const head = Buffer.alloc(isLong ? 12 : 8)
  head.writeUInt16LE(group, 0)
  head.writeUInt16LE(number, 2)
  head.write(representation, 4, 'latin1')
  if (isLong) head.writeUInt32LE(padded.length, 8)
  else head.writeUInt16LE(padded.length, 6)
  return Buffer.concat([head, padded])
}
