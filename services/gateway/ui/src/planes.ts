import { DRAG_MODE, MULTIPLANAR_TYPE, Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from '@niivue/niivue'
import type { Window } from './viewing'
import type { Place } from './volume'

/** Whether this browser can draw a volume. */
export function hasWebGl(): boolean {
  return document.createElement('canvas').getContext('webgl2') !== null
}

/** Of the mask where its outline is opaque: what is under it must still be seen. */
const FILL = 0.5
/** As in the pictures: nothing, main findings, lesser ones. */
const LABELS = { R: [0, 255, 204], G: [0, 205, 121], B: [0, 0, 167], A: [0, 255, 255], I: [0, 1, 2], labels: ['', '', ''] }

/** NiiVue fetches nothing here: its own pictures stand in its code, as `data:` addresses, which the page's policy keeps out. */
class Viewer extends Niivue {
  override async loadPngAsTexture(address: string, unit: number): Promise<WebGLTexture | null> {
    const url = URL.createObjectURL(blobOf(address))
    try {
      return await super.loadPngAsTexture(url, unit)
    } finally {
      URL.revokeObjectURL(url)
    }
  }

  /** Keys are the room's: here, too, they go through the slices, and j and k to other scans. */
  override keyDownListener(): void {}
  override keyUpListener(): void {}
}

function blobOf(address: string): Blob {
  const [, type = '', base64 = ''] = /^data:([^;,]+);base64,(.*)$/s.exec(address) ?? []
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
  return new Blob([bytes], { type })
}

/** A volume in three planes and in 3-D. */
export class PlanesView {
  readonly #viewer: Viewer

  /** `sided`: whether the file says which side is which. */
  constructor(sided: boolean, moved: (point: Place) => void) {
    this.#viewer = new Viewer({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.55, 0.78, 0.85, 1],
      fontColor: [1, 1, 1, 1],
      isRadiologicalConvention: true,
      isOrientationTextVisible: sided,
      showAllOrientationMarkers: true,
      multiplanarShowRender: SHOW_RENDER.ALWAYS,
      multiplanarPadPixels: 8,
      multiplanarLayout: MULTIPLANAR_TYPE.GRID,
      show3Dcrosshair: true,
      // What the right button does, the room does: its window is that of the slices, too.
      dragMode: DRAG_MODE.none,
      dragAndDropEnabled: false,
      loadingText: '',
      logLevel: 'silent',
    })
    this.#viewer.onLocationChange = (location) => {
      const { mm } = location as { mm: ArrayLike<number> }
      moved([mm[0] ?? 0, mm[1] ?? 0, mm[2] ?? 0])
    }
  }

  async open(canvas: HTMLCanvasElement, volume: ArrayBuffer): Promise<void> {
    await this.#viewer.attachToCanvas(canvas)
    this.#viewer.addVolume(await NVImage.loadFromUrl({ url: volume, name: 'volume.nii' }))
  }

  async mark(labels: ArrayBuffer, opacity: number): Promise<void> {
    const mask = await NVImage.loadFromUrl({ url: labels, name: 'mask.nii' })
    mask.setColormapLabel(LABELS)
    this.#viewer.addVolume(mask)
    this.opaque(opacity)
  }

  opaque(opacity: number): void {
    if (this.#viewer.volumes.length > 1) this.#viewer.setOpacity(1, FILL * opacity)
  }

  window([low, high]: Window, inverted: boolean): void {
    const [volume] = this.#viewer.volumes
    if (!volume) return
    volume.cal_min = low
    volume.cal_max = high
    volume.colormapInvert = inverted
    this.#viewer.updateGLVolume()
  }

  go(point: Place): void {
    this.#viewer.scene.crosshairPos = this.#viewer.mm2frac([...point], 0, true)
    this.#viewer.drawScene()
  }

  alone(volume: boolean): void {
    this.#viewer.setSliceType(volume ? SLICE_TYPE.RENDER : SLICE_TYPE.MULTIPLANAR)
  }

  close(): void {
    this.#viewer.cleanup()
    // Browsers let a page have few of them.
    this.#viewer.gl.getExtension('WEBGL_lose_context')?.loseContext()
  }
}
