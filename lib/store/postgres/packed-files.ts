// The small files of a sealed batch as one value in the ledger, so that another machine can resume without this disk.
import { deflateSync, inflateSync } from 'node:zlib'
import type { SummedFile } from '../../core/job/event.ts'

const KINDS: readonly SummedFile[] = ['members', 'rejected', 'ids', 'repeats', 'keys']

/** The width of an ordinal in a members file. */
const WIDTH = 6

/** Packs files by kind. Members are ascending, so their differences take one or two bytes each, and almost nothing compressed. */
export function packFiles(files: ReadonlyMap<SummedFile, Buffer>): Buffer {
  const parts: Buffer[] = []
  for (const [kind, name] of KINDS.entries()) {
    const bytes = files.get(name)
    if (!bytes) continue
    const stored = name === 'members' ? differencesOf(bytes) : bytes
    const head = Buffer.alloc(5)
    head.writeUInt8(kind, 0)
    head.writeUInt32LE(stored.length, 1)
    parts.push(head, stored)
  }
  return deflateSync(Buffer.concat(parts))
}

export function unpackFiles(packed: Uint8Array): ReadonlyMap<SummedFile, Buffer> {
  const files = new Map<SummedFile, Buffer>()
  const bytes = inflateSync(packed)
  for (let at = 0; at < bytes.length;) {
    const name = KINDS[bytes.readUInt8(at)]
    const end = at + 5 + bytes.readUInt32LE(at + 1)
    const stored = bytes.subarray(at + 5, end)
    if (name) files.set(name, name === 'members' ? ordinalsOf(stored) : stored)
    at = end
  }
  return files
}

function differencesOf(members: Buffer): Buffer {
  const bytes: number[] = []
  let before = 0
  for (let at = 0; at < members.length; at += WIDTH) {
    const ordinal = members.readUIntLE(at, WIDTH)
    let difference = ordinal - before
    before = ordinal
    for (; difference >= 128; difference = Math.floor(difference / 128))
      bytes.push((difference % 128) + 128)
    bytes.push(difference)
  }
  return Buffer.from(bytes)
}

function ordinalsOf(differences: Buffer): Buffer {
  const ordinals: number[] = []
  let ordinal = 0
  let difference = 0
  let scale = 1
  for (const byte of differences) {
    difference += (byte % 128) * scale
    scale *= 128
    if (byte >= 128) continue
    ordinal += difference
    ordinals.push(ordinal)
    difference = 0
    scale = 1
  }
  const members = Buffer.alloc(ordinals.length * WIDTH)
  for (const [index, value] of ordinals.entries()) members.writeUIntLE(value, index * WIDTH, WIDTH)
  return members
}
