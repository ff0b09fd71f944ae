let nowhere: MessagePort | undefined

/** The memory that a message transfers is freed with it, at once if there is no receiver. */
function sendNowhere(memory: ArrayBuffer): void {
  if (!nowhere) {
    const { port1, port2 } = new MessageChannel()
    port2.close()
    nowhere = port1
  }
  nowhere.postMessage(undefined, [memory])
}

// Node 20 does not have it.
const transfer: unknown = Reflect.get(ArrayBuffer.prototype, 'transfer')

/**
 * Frees the memory of a buffer now. V8 would free it when it next marks the whole heap, and it marks the heap more often, the more
 * memory is allocated. Nothing may use the buffer afterwards: its length is 0. A buffer that shares its memory is left alone.
 */
export function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (byteLength < buffer.byteLength || !(buffer instanceof ArrayBuffer)) return
  if (typeof transfer === 'function') transfer.call(buffer, 0)
  else sendNowhere(buffer)
}
