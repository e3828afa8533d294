// read.cjs PACKAGES SEG SR: what OHIF's own parser, dcmjs in the folder PACKAGES, makes of a segmentation and of a structured report, as
// JSON. What is asked of them is what OHIF's handlers of those classes ask before they show one.
const { readFileSync } = require('node:fs')
const { createRequire } = require('node:module')

const [packages, segPath, srPath] = process.argv.slice(2)
const { data } = createRequire(`${packages}/`)('dcmjs')

function read(path) {
  const bytes = readFileSync(path)
  const file = data.DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  return data.DicomMetaDictionary.naturalizeDataset(file.dict)
}

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value])
const first = (value) => list(value)[0]
const concept = (item) => first(item.ConceptNameCodeSequence)?.CodeValue
const below = (item, code) => list(item.ContentSequence).filter((one) => concept(one) === code)

function segmentation(seg) {
  const packed = first(seg.PixelData)
  const pixels = data.BitArray.unpack(packed instanceof ArrayBuffer ? packed : packed.buffer)
  const size = seg.Rows * seg.Columns
  const marked = {}
  list(seg.PerFrameFunctionalGroupsSequence).forEach((frame, index) => {
    const segment = first(frame.SegmentIdentificationSequence).ReferencedSegmentNumber
    const source = first(first(frame.DerivationImageSequence).SourceImageSequence)
    if (!source.ReferencedSOPInstanceUID || !first(frame.PlanePositionSequence).ImagePositionPatient) throw new Error('a frame lies nowhere')
    for (let at = index * size; at < (index + 1) * size; at += 1) marked[segment] = (marked[segment] ?? 0) + (pixels[at] ? 1 : 0)
  })
  return {
    series: first(seg.ReferencedSeriesSequence).SeriesInstanceUID,
    frameOfReference: seg.FrameOfReferenceUID,
    tracking: list(seg.SegmentSequence).map((segment) => segment.TrackingUID),
    marked,
  }
}

function report(sr) {
  const groups = below(sr, '126010').flatMap((measurements) => below(measurements, '125007'))
  const measured = groups.map((group) => ({
    tracking: first(below(group, '112040'))?.UID,
    volumes: below(group, '118565006').map((item) => Number(first(item.MeasuredValueSequence).NumericValue)),
  }))
  return { title: concept(sr), measured }
}

process.stdout.write(JSON.stringify({ seg: segmentation(read(segPath)), sr: report(read(srPath)) }))
