export interface Dropped {
  files: File[]
  /** Whether a folder was among them: a browser hands it over as something that cannot be sent. */
  folder: boolean
}

export function filesIn(data: DataTransfer | null): Dropped {
  const items = [...(data?.items ?? [])].filter((item) => item.kind === 'file')
  const isFolder = (item: DataTransferItem) => item.webkitGetAsEntry()?.isDirectory ?? false
  const files = items.filter((item) => !isFolder(item)).flatMap((item) => item.getAsFile() ?? [])
  return { files, folder: items.some(isFolder) }
}

export function takesFiles(data: DataTransfer | null): boolean {
  return data?.types.includes('Files') ?? false
}
