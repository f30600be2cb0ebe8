/**
 * PyTorch's part of a pickle: references to storages, and the few functions that make tensors of them. Everything else
 * stays an inert record.
 *
 * @module
 */

import type { UnpickleOptions } from "./pickle_machine.ts";
import { PickleGlobal, PickleObject } from "./pickle_values.ts";
import { ITEM_BYTES, type Storage, type StoredDType, StoredTensor } from "./stored_tensor.ts";

/** A storage as a pickle refers to it. */
export class StorageReference {
  /** The element type; `undefined` for storages that leave it to the tensors. */
  readonly dtype: StoredDType | undefined;
  /** The bytes. */
  readonly storage: Storage;

  /** Binds a type to bytes. */
  constructor(dtype: StoredDType | undefined, storage: Storage) {
    this.dtype = dtype;
    this.storage = storage;
  }
}

/** The names of the storage classes in Python's module `torch`. */
export const STORAGE_CLASSES: Readonly<Record<StoredDType, string>> = {
  float64: "DoubleStorage",
  float32: "FloatStorage",
  float16: "HalfStorage",
  bfloat16: "BFloat16Storage",
  int64: "LongStorage",
  int32: "IntStorage",
  int16: "ShortStorage",
  int8: "CharStorage",
  uint8: "ByteStorage",
  bool: "BoolStorage",
};
const DTYPE_OF_CLASS: ReadonlyMap<string, StoredDType> = new Map(
  Object.entries(STORAGE_CLASSES).map(([dtype, name]) => [`torch.${name}`, dtype as StoredDType]),
);
/** Bytes per element of storages whose tensors stay inert records, or bring their own type. */
const OTHER_CLASSES: ReadonlyMap<string, number> = new Map([
  ["torch.storage.UntypedStorage", 1],
  ["torch.ComplexFloatStorage", 8],
  ["torch.ComplexDoubleStorage", 16],
  ["torch.QInt8Storage", 1],
  ["torch.QUInt8Storage", 1],
  ["torch.QInt32Storage", 4],
]);

/**
 * What a file's values, without its weights, may take in memory: as much as the file, and 8 MiB where that is more. Real
 * checkpoints need far less; with what V8 leaves uncollected for a while a hostile one stays below four times its size.
 */
function memoryLimit(fileSize: number): number {
  return Math.max(fileSize, 8 << 20);
}

/** What all tensors of a file may take together: they may share storages, but not so often that reading never ends. */
function totalLimit(fileSize: number): number {
  return Math.max(8 * fileSize, 64 << 20);
}

/**
 * Lets a pickle's tensors be made, with the limits that suit its file's size.
 *
 * @param openStorage gives the storage of a name and a length in bytes, or throws where the file has none
 */
export function torchValues(
  fileSize: number,
  openStorage: (key: string, byteLength: number) => Storage,
): UnpickleOptions {
  let total = 0;
  const call = (path: string, args: readonly unknown[]) => {
    const made = callTorch(path, args);
    if (made !== undefined && made !== args[0]) total += made.byteLength;
    if (total > totalLimit(fileSize)) {
      throw new RangeError(`The tensors would take ${total} bytes, by sharing the few that the file has`);
    }
    return made;
  };
  return { memoryLimit: memoryLimit(fileSize), persistentLoad: (id) => loadStorage(id, openStorage), call };
}

/** `("storage", class, key, location, number of elements)`; the location says which device it came from. */
function loadStorage(id: unknown, openStorage: (key: string, byteLength: number) => Storage): unknown {
  const [tag, type, key, , count, view] = Array.isArray(id) ? id : [];
  if (
    tag !== "storage" || !(type instanceof PickleGlobal) || typeof key !== "string" ||
    !Number.isSafeInteger(count) || count < 0
  ) {
    throw new TypeError("The pickle refers to data outside of it that is no storage");
  }
  if (view !== undefined && view !== null) {
    throw new TypeError(
      `Storage ${key} is a view of another one, as PyTorch before 0.4 wrote them: not supported`,
    );
  }
  const dtype = DTYPE_OF_CLASS.get(type.path);
  const item = dtype === undefined ? OTHER_CLASSES.get(type.path) : ITEM_BYTES[dtype];
  if (item === undefined) return new PickleObject(type, [key, count]);
  return new StorageReference(dtype, openStorage(key, count * item));
}

/** The functions of PyTorch that make tensors; `undefined` for all others. */
function callTorch(path: string, args: readonly unknown[]): StoredTensor | undefined {
  switch (path) {
    case "torch._utils._rebuild_tensor":
    case "torch._utils._rebuild_tensor_v2":
      return rebuildTensor(args, undefined);
    case "torch._utils._rebuild_tensor_v3":
      return rebuildTensor(args, dtypeOf(args[6]));
    case "torch._utils._rebuild_parameter":
    case "torch._utils._rebuild_parameter_with_state":
      return args[0] instanceof StoredTensor ? args[0] : undefined;
    case "torch._tensor._rebuild_from_type_v2": {
      // A tensor with attributes: (function, class, arguments, attributes).
      const [callee, , inner] = args;
      const isNested = callee instanceof PickleGlobal && callee.path !== path && Array.isArray(inner);
      return isNested ? callTorch(callee.path, inner) : undefined;
    }
    default:
      return undefined;
  }
}

function dtypeOf(value: unknown): StoredDType | undefined {
  if (!(value instanceof PickleGlobal) || value.module !== "torch") return undefined;
  return value.name in ITEM_BYTES ? value.name as StoredDType : undefined;
}

/** `(storage, offset, sizes, strides, ...)`. A storage of a type that is not known here leaves the tensor inert. */
function rebuildTensor(args: readonly unknown[], dtype: StoredDType | undefined): StoredTensor | undefined {
  const [reference, storageOffset, shape, strides] = args;
  if (!(reference instanceof StorageReference)) return undefined;
  const type = dtype ?? reference.dtype;
  if (type === undefined) return undefined;
  if (!Array.isArray(shape) || !Array.isArray(strides) || typeof storageOffset !== "number") {
    throw new TypeError("The pickle makes a tensor without sizes, strides and an offset");
  }
  return new StoredTensor(type, { shape, strides, storageOffset }, reference.storage);
}
