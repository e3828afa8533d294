// Made of crates/domain/src/artefact.rs: UPDATE_OPENAPI=1 cargo test -p gateway writes it anew.

export const ARTEFACTS = [
  { name: 'original', path: 'original', media_type: 'application/octet-stream', title: 'Original file', offered: false },
  { name: 'image.png', path: 'image.png', media_type: 'image/png', title: 'Image', offered: false },
  { name: 'mask.png', path: 'mask.png', media_type: 'image/png', title: 'Mask', offered: true },
  { name: 'overlay.png', path: 'overlay.png', media_type: 'image/png', title: 'Overlay', offered: true },
  { name: 'mask.nii.gz', path: 'mask.nii.gz', media_type: 'application/gzip', title: 'Mask of the volume', offered: false },
  { name: 'seg.dcm', path: 'seg.dcm', media_type: 'application/dicom', title: 'DICOM segmentation', offered: true },
  { name: 'sr.dcm', path: 'sr.dcm', media_type: 'application/dicom', title: 'DICOM structured report', offered: true },
  { name: 'text.dcm', path: 'text.dcm', media_type: 'application/dicom', title: 'DICOM report in words', offered: true },
  { name: 'capture.dcm', path: 'capture.dcm', media_type: 'application/dicom', title: 'DICOM picture', offered: true },
  { name: 'report.dcm', path: 'report.dcm', media_type: 'application/dicom', title: 'DICOM report', offered: true },
  { name: 'report.fhir.json', path: 'report.fhir.json', media_type: 'application/fhir+json', title: 'FHIR report', offered: true },
  { name: 'report.hl7', path: 'report.hl7', media_type: 'application/hl7-v2+er7', title: 'HL7 message', offered: true },
  { name: 'contours.geojson', path: 'contours.geojson', media_type: 'application/geo+json', title: 'Contours', offered: true },
  { name: 'result.json', path: 'result', media_type: 'application/json', title: 'Result', offered: true },
  { name: 'passport.json', path: 'passport', media_type: 'application/json', title: 'Passport', offered: false },
] as const
