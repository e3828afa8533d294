/** A `result.json` that fits the mock's pictures in form, not in numbers. */
export function documentOf({ public: scan, answer, reason, unit }) {
  const found = answer === 'found'
  const judged = found || answer === 'none_found'
  if (answer === 'failed') return { scan_id: scan.id, answer, reason, completed_ms: scan.completed_ms, findings: [] }
  const [slices, rows, columns] = scan.shape
  const spacing = unit === 'mm' ? [5, 0.9375, 0.9375] : null
  const findings = found ? [finding(1, 1254, unit, slices), finding(2, 154, unit, slices)] : []
  // Of a volume one tumour is expected: what lies apart is lesser.
  if (found && slices > 1) findings[1].role = 'lesser'
  const counted = findings.filter(({ role }) => role === 'main')
  const apart = findings.filter(({ role }) => role === 'lesser')
  const sum = (some) => some.reduce((sum, { voxels }) => sum + voxels, 0)
  const voxels = sum(counted)
  return {
    schema: 'medseg.result/1',
    software: 'medseg 0.1.0',
    limits: 'Computed by software without medical approval, for research use. It is not a diagnosis: it can miss tumours, mark healthy tissue, and knows nothing of the patient but these pixels. A qualified person must look at the scan.',
    scan_id: scan.id,
    answer,
    reason,
    findings,
    totals: judged
      ? { includes: 'main', findings: counted.length, voxels, mask_fraction: voxels / 65536, volume_ml: spacing && voxels * 0.0044, area_mm2: spacing && slices === 1 ? voxels * 0.879 : null, lesser: { findings: apart.length, voxels: sum(apart), volume_ml: spacing && sum(apart) * 0.0044 } }
      : null,
    confidence: judged ? 0.93 : null,
    expected_dice: found ? { dice: 0.84, interval: [0.66, 0.95] } : null,
    quality: { features: {}, remarks: spacing ? [] : ['the file does not say how large its pixels are: sizes are in pixels', 'the file does not say what made the image: it was taken for MR'] },
    image: { shape: { slices, rows, columns }, unit, spacing_mm: spacing, modality: scan.modality, format: scan.format, kind: { kind: 'flair', told_by: 'model', model: { kind: 'flair', probability: 0.98 }, model_sure: true }, shown_slice: slices === 1 ? 0 : 14, view: spacing && { plane: 'axial', left: 'R', right: 'L', top: 'A', bottom: 'P' } },
    model: {
      name: 'resnet50-unet', version: '2026.11', preprocessing: '1', threshold: 0.5, minimum_pixels: 8, side: 256, mirrored: false, calibration: { slope: 1, offset: 0 }, modalities: ['MR'], device: 'cpu',
      sha256: 'b4f7c1c3a7ce6f1d0d7a34b0b2f7f2b0a1d4f65a9e8c3b27d16f0e5c94a8d723',
    },
    inputs: { volume_sha256: '', binding: '', attempt: 1 },
    timing: { accepted_ms: scan.accepted_ms, started_ms: scan.accepted_ms, finished_ms: scan.completed_ms, compute_ms: 212 },
  }
}

function finding(label, voxels, unit, slices) {
  const size = unit === 'mm' ? 0.9375 : 1
  const long = label === 1 ? [[118, 148], [131, 191]] : [[153, 82], [166, 96]]
  const short = label === 1 ? [[143, 165], [105, 176]] : [[155, 96], [166, 84]]
  const length = ([[y1, x1], [y2, x2]]) => size * Math.hypot(y2 - y1, x2 - x1)
  const slice = slices === 1 ? 0 : 14
  return {
    label, role: 'main', unit, voxels,
    volume_ml: unit === 'mm' ? voxels * 0.0044 : null,
    slice, area_px: Math.min(voxels, 1100), area_mm2: unit === 'mm' ? voxels * 0.879 : null, diameter_slice: slice,
    longest_diameter: { length: length(long), ends: long },
    perpendicular_diameter: { length: length(short), ends: short },
    box: { from: [slice, 105, 148], to: [slice + (slices === 1 ? 1 : 4), 144, 192], size: [slices === 1 ? 5 : 20, 39 * size, 44 * size], patient_mm: null },
    centroid: [slice, 124, 170], centroid_mm: null, laterality: unit === 'mm' ? (label === 1 ? 'left' : 'right') : null, confidence: label === 1 ? 0.95 : 0.78,
  }
}
