import t, { type Test } from 'tap'

const own = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'transfer')

/** Empties a buffer like ArrayBuffer.prototype.transfer, which Node 20 does not have, but frees nothing. */
function transfer(this: ArrayBuffer): ArrayBuffer {
  return structuredClone(this, { transfer: [this] })
}

/** The function as it is if V8 has, or lacks, ArrayBuffer.prototype.transfer. */
async function load(t: Test, has: boolean): Promise<(buffer: Uint8Array) => void> {
  const set = (to: PropertyDescriptor | undefined): void => {
    Reflect.deleteProperty(ArrayBuffer.prototype, 'transfer')
    if (to) Object.defineProperty(ArrayBuffer.prototype, 'transfer', to)
  }
  set(has ? (own ?? { value: transfer, configurable: true }) : undefined)
  try {
    // It has what the module exports.
    const { freeMemory } = (await t.mockImport(
      '../../lib/core/free-memory.ts',
    )) as typeof import('../../lib/core/free-memory.ts')
    return freeMemory
  } finally {
    set(own)
  }
}

const used = (): number => process.memoryUsage().arrayBuffers

for (const has of own ? [true, false] : [false])
  void t.test(`memory is freed at once if V8 ${has ? 'has' : 'lacks'} transfer`, async t => {
    const freeMemory = await load(t, has)
    /** The memory that is left of 20 MB. */
    const left = (): number => {
      const before = used()
      for (let turn = 0; turn < 20; turn++) freeMemory(Buffer.alloc(1_000_000, 'x'))
      return used() - before
    }
    // A channel closes some turns of the event loop after the first call. Garbage of other tests may be freed in some turns.
    let inARow = 0
    for (let turn = 0; turn < 1000 && inARow < 20; turn++) {
      inARow = left() < 1_000_000 ? inARow + 1 : 0
      await new Promise(setImmediate)
    }
    t.equal(inARow, 20)
  })

for (const has of [true, false])
  void t.test(`a buffer is empty afterwards, if V8 ${has ? 'has' : 'lacks'} transfer`, async t => {
    const freeMemory = await load(t, has)
    const freed = Buffer.alloc(10_000, 'x')
    freeMemory(freed)
    t.equal(freed.length, 0)
    const whole = Buffer.alloc(100, 'x')
    for (const part of [whole.subarray(1), whole.subarray(0, 99), Buffer.from('pooled')])
      freeMemory(part)
    t.equal(String(whole), 'x'.repeat(100), 'one that shares its memory is left alone')
    const shared = new Uint8Array(new SharedArrayBuffer(8))
    freeMemory(shared)
    t.equal(shared.length, 8)
  })
