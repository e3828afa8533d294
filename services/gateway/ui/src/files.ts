/** A file that somebody chose or dropped, and where it lay in the folder. */
export interface Chosen {
  file: File
  path: string
}

/** The files of an `<input type="file">`, with `webkitdirectory` or without. */
export function chosenIn(input: HTMLInputElement): Chosen[] {
  return [...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }))
}

/** All files that were dropped, those in folders too. */
export async function droppedIn(data: DataTransfer | null): Promise<Chosen[]> {
  const items = [...(data?.items ?? [])].filter((item) => item.kind === 'file')
  // The transfer is empty once this turn is over: everything is taken out of it before the first wait.
  const taken = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
  const found = taken.map(async ({ entry, file }) => {
    if (entry) return filesOf(entry)
    return file ? [{ file, path: file.name }] : []
  })
  return (await Promise.all(found)).flat()
}

export function takesFiles(data: DataTransfer | null): boolean {
  return data?.types.includes('Files') ?? false
}

async function filesOf(entry: FileSystemEntry): Promise<Chosen[]> {
  if (isFile(entry)) {
    const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject))
    return [{ file, path: entry.fullPath.replace(/^\//, '') }]
  }
  if (!isFolder(entry)) return []
  const reader = entry.createReader()
  const entries: FileSystemEntry[] = []
  // A browser hands over some hundred entries at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) break
    entries.push(...some)
  }
  return (await Promise.all(entries.map(filesOf))).flat()
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory
}
