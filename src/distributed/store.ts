/**
 * Entries that all processes see: how they find each other, and where they say what went wrong.
 *
 * @module
 */

import { check, native, nativeError } from "../torch/library.ts";

/** Where a store is. */
export interface StoreOptions {
  /** The machine that keeps it. */
  readonly host: string;
  readonly port: number;
  /** Whether this process keeps it. */
  readonly serves: boolean;
  /** Seconds to wait for it. */
  readonly timeout: number;
  /** Sets its entries apart from those of other users of the same store. */
  readonly prefix: string;
}

/** Another process is lost: gone, stuck, or cut off. */
export class PeerLostError extends Error {
  /** Tells it from other errors. */
  override readonly name = "PeerLostError";
}

/** What `stec_store_get` says of an entry that is not there (STEC_ABSENT). */
const ABSENT = -2;
/** The longest entry, in bytes. */
const LONGEST = 4096;

/** c10d's TCPStore. Entries are read and written without blocking, for the process that keeps them may be stuck. */
export class Store implements Disposable {
  /** The shim's handle, 0 once freed. */
  handle: number;

  /** The store that another thread has opened, by its handle; that thread frees it. */
  static borrow(handle: number): Store {
    return Object.assign(Object.create(Store.prototype), { handle });
  }

  /** Starts it, or connects to it. */
  constructor({ host, port, serves, timeout, prefix }: StoreOptions) {
    const hostBytes = encode(host), prefixBytes = encode(prefix);
    this.handle = native.stec_store_new(
      hostBytes,
      hostBytes.length,
      port,
      serves ? 1 : 0,
      timeout * 1000,
      prefixBytes,
      prefixBytes.length,
    );
    if (this.handle < 0) throw nativeError(`connect to ${host}:${port}`);
  }

  /** Writes an entry. */
  async set(key: string, value: string): Promise<void> {
    const name = encode(key), bytes = encode(value).subarray(0, LONGEST);
    reached(await native.stec_store_set(this.handle, name, name.length, bytes, bytes.length));
  }

  /** Reads an entry, null where it is absent. */
  async get(key: string): Promise<string | null> {
    const name = encode(key), out = new Uint8Array(LONGEST);
    const length = await native.stec_store_get(this.handle, name, name.length, out, out.length);
    return length === ABSENT ? null : new TextDecoder().decode(out.subarray(0, reached(length)));
  }

  /** Adds to a count, 0 at first, and returns it. */
  async add(key: string, amount: number): Promise<number> {
    const name = encode(key);
    return reached(await native.stec_store_add(this.handle, name, name.length, amount));
  }

  /** Closes the connection and, where it is kept here, the store. */
  [Symbol.dispose](): void {
    if (this.handle !== 0) check(native.stec_store_free(this.handle), "close the store");
    this.handle = 0;
  }
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function reached(status: number): number {
  if (status < 0) throw new PeerLostError("Cannot reach the store");
  return status;
}
