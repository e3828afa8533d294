import type { Draft } from '../draft'
import type { KeptDrawing } from './drawing.svelte'

const DATABASE = 'medseg.drafts'
const STORE = 'drafts'
const READER = 'reader'
export const KEPT_DAYS = 30

/** A correction that has not been sent, as this device keeps it. */
export interface KeptDraft {
  id: string
  /** In lower case: whose it is. */
  reader: string
  scan: string
  saved_ms: number
  /** Under which it is sent: of a draft that the server has, though its answer was lost, there is no second word. */
  key: string
  draft: Draft
  drawing: KeptDrawing
}

/** Those who have signed out here: what is still on its way to the device comes too late. */
const out = new Set<string>()

export async function keepDraft(kept: KeptDraft): Promise<void> {
  if (out.has(kept.reader)) return
  await change((store) => store.put(kept))
}

export async function dropDraft(id: string): Promise<void> {
  await change((store) => store.delete(id))
}

/** What a reader has not sent of a scan, the latest first. */
export async function draftsOf(reader: string, scan: string): Promise<KeptDraft[]> {
  const all = await ofReader(reader)
  return all.filter((kept) => kept.scan === scan).sort((one, other) => other.saved_ms - one.saved_ms)
}

/** Gives a draft another id, and tells whether it was still there: of two tabs that want it one gets it. */
export async function takeDraft(id: string, to: string): Promise<KeptDraft | undefined> {
  return inside('readwrite', async (store) => {
    const kept = (await answer(store.get(id))) as KeptDraft | undefined
    if (!kept) return undefined
    store.delete(id)
    const taken = { ...kept, id: to }
    store.put(taken)
    return taken
  })
}

/** Lets a reader who has signed in keep drafts again, and forgets what is older than anybody comes back for. */
export async function openDrafts(reader: string, now_ms: number): Promise<void> {
  out.delete(nameOf(reader))
  await inside('readwrite', async (store) => {
    const all = (await answer(store.getAll())) as KeptDraft[]
    all.filter((kept) => !(kept.saved_ms > now_ms - KEPT_DAYS * 86_400_000)).forEach(({ id }) => store.delete(id))
  })
}

/** Forgets all of a reader's drafts, on this device. */
export async function closeDrafts(reader: string): Promise<void> {
  out.add(nameOf(reader))
  await inside('readwrite', async (store) => {
    const ids = await answer(store.index(READER).getAllKeys(nameOf(reader)))
    ids.forEach((id) => store.delete(id))
  })
}

/** Names of users are the same in capitals. */
export function nameOf(reader: string): string {
  return reader.toLowerCase()
}

function ofReader(reader: string): Promise<KeptDraft[]> {
  return inside('readonly', async (store) => (await answer(store.index(READER).getAll(nameOf(reader)))) as KeptDraft[])
}

async function change(does: (store: IDBObjectStore) => void): Promise<void> {
  await inside('readwrite', async (store) => does(store))
}

/** Done once the device has it: a transaction that is cut short has changed nothing. */
async function inside<T>(mode: IDBTransactionMode, does: (store: IDBObjectStore) => Promise<T>): Promise<T> {
  const database = await open()
  try {
    const transaction = database.transaction(STORE, mode)
    const over = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error ?? new Error('the draft could not be kept'))
    })
    const [found] = await Promise.all([does(transaction.objectStore(STORE)), over])
    return found
  } finally {
    database.close()
  }
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1)
  request.onupgradeneeded = () => {
    request.result.createObjectStore(STORE, { keyPath: 'id' }).createIndex(READER, 'reader')
  }
  return answer(request)
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('the device does not answer'))
  })
}
