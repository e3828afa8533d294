import { crc32, gunzipSync } from 'node:zlib'
import { file } from './dicom.mjs'

/** Where NIfTI-1 has the lengths of its axes, where its voxels begin, and the rows of its affine. */
const [LENGTHS, OFFSET, ROWS] = [42, 108, [280, 296, 312]]
/** What the brightest voxel becomes. */
const WHITE = 4000
const STUDY = '2.25.7001'

/** A zip with two series of one study, made of a `.nii.gz` of floats: one that fits the models, and a localiser. */
export function studyOf(gzipped) {
  const flair = { series: '2.25.7002', description: 'Phantom, axial, FLAIR-like', type: 'ORIGINAL\\PRIMARY\\OTHER' }
  const localiser = { series: '2.25.7003', description: 'localizer', type: 'ORIGINAL\\PRIMARY\\LOCALIZER' }
  const files = [flair, localiser].flatMap((one, number) => slicesOf(gunzipSync(gzipped), one).map((bytes, slice) => [`${number}/${slice}.dcm`, bytes]))
  return zip(files)
}

function slicesOf(nifti, { series, description, type }) {
  const [columns, rows, slices] = [0, 2, 4].map((at) => nifti.readInt16LE(LENGTHS + at))
  const affine = ROWS.map((row) => [0, 4, 8, 12].map((at) => nifti.readFloatLE(row + at)))
  // NIfTI counts to the right and to the front, DICOM to the left and to the back.
  const step = (axis) => affine.map((row, at) => (at < 2 ? -row[axis] : row[axis]))
  const [across, down, through, origin] = [0, 1, 2, 3].map(step)
  const length = (vector) => Math.hypot(...vector)
  const unit = (vector) => vector.map((part) => part / length(vector))
  const decimals = (values) => values.map((value) => String(Number(value.toFixed(6)))).join('\\')
  const start = nifti.readFloatLE(OFFSET)
  const voxel = (at) => nifti.readFloatLE(start + 4 * at)
  const count = rows * columns
  let most = 0
  for (let at = 0; at < count * slices; at++) most = Math.max(most, voxel(at))
  return Array.from({ length: slices }, (_, slice) => {
    const pixels = Buffer.alloc(2 * count)
    for (let at = 0; at < count; at++) pixels.writeUInt16LE(Math.max(0, Math.round((WHITE * voxel(slice * count + at)) / most)), 2 * at)
    const place = origin.map((part, axis) => part + slice * through[axis])
    return file(`${series}.${slice + 1}`, [
      [0x0008, 0x0005, 'CS', 'ISO_IR 192'],
      [0x0008, 0x0008, 'CS', type],
      [0x0008, 0x0060, 'CS', 'MR'],
      [0x0008, 0x103e, 'LO', description],
      [0x0010, 0x0010, 'PN', 'Phantom^Study'],
      [0x0010, 0x0020, 'LO', 'PHANTOM-STUDY'],
      [0x0018, 0x0050, 'DS', decimals([length(through)])],
      [0x0020, 0x000d, 'UI', STUDY],
      [0x0020, 0x000e, 'UI', series],
      [0x0020, 0x0013, 'IS', String(slice + 1)],
      [0x0020, 0x0032, 'DS', decimals(place)],
      [0x0020, 0x0037, 'DS', decimals([...unit(across), ...unit(down)])],
      [0x0020, 0x0052, 'UI', '2.25.7004'],
      [0x0028, 0x0002, 'US', short(1)],
      [0x0028, 0x0004, 'CS', 'MONOCHROME2'],
      [0x0028, 0x0010, 'US', short(rows)],
      [0x0028, 0x0011, 'US', short(columns)],
      [0x0028, 0x0030, 'DS', decimals([length(down), length(across)])],
      [0x0028, 0x0100, 'US', short(16)],
      [0x0028, 0x0101, 'US', short(16)],
      [0x0028, 0x0102, 'US', short(15)],
      [0x0028, 0x0103, 'US', short(0)],
      [0x7fe0, 0x0010, 'OW', pixels],
    ])
  })
}

function short(value) {
  return Buffer.from([value & 0xff, value >> 8])
}

/** A zip of files that are not packed. */
function zip(files) {
  const [locals, centrals] = [[], []]
  let offset = 0
  for (const [name, bytes] of files) {
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(0x21, 8)
    common.writeUInt32LE(crc32(bytes), 10)
    common.writeUInt32LE(bytes.length, 14)
    common.writeUInt32LE(bytes.length, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), bytes])
    const where = Buffer.alloc(14)
    where.writeUInt32LE(offset, 10)
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, where, Buffer.from(name)]))
    locals.push(local)
    offset += local.length
  }
  const central = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, central, end])
}
