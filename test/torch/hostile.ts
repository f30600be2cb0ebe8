/**
 * Gives every function of the shim that takes a tensor tensors that it does not expect: without memory, without storage,
 * of odd types, empty, of wrong sizes. Prints each pair before it tries it, and whether it was refused. Run by
 * hostile_test.ts in a process of its own, which a crash would end.
 */

import { freePort } from "../../src/distributed/world.ts";
import { ones, zeros } from "../../src/torch/create.ts";
import { check, native, payload, slotNumbers, slotWords } from "../../src/torch/library.ts";
import { call } from "../../src/torch/operator.ts";
import { scope } from "../../src/torch/scope.ts";
import { Tensor } from "../../src/torch/tensor.ts";

const SHAPE = [4, 3];
// Numbers of element types that TypeScript has no names for.
const QINT8 = 12, QUINT4X2 = 16, BITS8 = 22, FLOAT8 = 24, UINT16 = 27, FLOAT32 = 6;

function complex(): Tensor {
  return call("aten::complex", ones(SHAPE), ones(SHAPE));
}

/** Tensors whose elements do not lie in memory by shape and strides. */
const WITHOUT_MEMORY: Record<string, () => Tensor> = {
  quantized: () => call("aten::quantize_per_tensor", ones(SHAPE), 0.1, 0, QINT8),
  "quantized to 4 bits": () => call("aten::quantize_per_tensor", ones(SHAPE), 0.1, 0, QUINT4X2),
  "quantized by channel": () =>
    call("aten::quantize_per_channel", ones(SHAPE), ones([4]), zeros([4], { dtype: "int64" }), 0, QINT8),
  sparse: () => call("aten::to_sparse", ones(SHAPE)),
  "compressed sparse": () => call("aten::to_sparse_csr", ones(SHAPE)),
  meta: () => ones(SHAPE, { device: "meta" }),
  "huge meta": () => call("aten::empty.memory_format", [2 ** 31, 2 ** 20], FLOAT32, undefined, "meta"),
  oneDNN: () => call("aten::to_mkldnn", ones(SHAPE)),
  nested: () => call("aten::_nested_tensor_from_tensor_list", [ones(SHAPE), ones([2, 3])]),
  "zero without memory": () => call("aten::_efficientzerotensor", SHAPE, FLOAT32),
  batched: () => call("aten::_add_batch_dim", ones(SHAPE), 0, 1),
};

const ODD: Record<string, () => Tensor> = {
  empty: () => ones([0, 3]),
  "no channels": () => ones([4, 0]),
  "one row": () => ones([1, 3]),
  "one number": () => ones([]),
  "64 dimensions": () => ones(Array(64).fill(1)),
  "expanded beyond every memory": () => ones([1, 1]).expand(2 ** 20, 2 ** 20),
  complex,
  conjugate: () => call("aten::_conj", complex()),
  negated: () => call("aten::_neg_view", ones(SHAPE)),
  bool: () => ones(SHAPE, { dtype: "bool" }),
  int64: () => ones(SHAPE, { dtype: "int64" }),
  float64: () => ones(SHAPE, { dtype: "float64" }),
  float8: () => call("aten::to.dtype", ones(SHAPE), FLOAT8),
  uint16: () => call("aten::zeros", SHAPE, UINT16),
  bits: () => call("aten::empty.memory_format", SHAPE, BITS8),
  leaf: () => ones(SHAPE).requiresGrad_(),
  "no leaf": () => ones(SHAPE).requiresGrad_().mul(2),
};

function startGroup(): number {
  const host = new TextEncoder().encode("127.0.0.1"), timeout = 60_000;
  const store = native.stec_store_new(host, host.length, freePort(), 1, timeout, host, host.length);
  return check(native.stec_group_new(check(store, "store"), 0, 1, timeout, host, host.length), "group");
}

const group = startGroup();

/** Back-propagates from what a function has returned. */
function backward(handle: number): number {
  if (handle < 0) return handle;
  const { requiresGrad } = new Tensor(handle);
  return requiresGrad ? native.stec_backward(new Tensor(handle).sum().handle, 0, 0, 0) : 0;
}

function copyOut(tensor: Tensor, shift: number): number {
  const status = [0, 4, 6, 12, 24, 36, 48, 96].map((bytes) =>
    native.stec_tensor_copy_bytes(tensor.handle, new Uint8Array(bytes + shift).subarray(shift), bytes)
  );
  return Math.max(...status);
}

function put(tensor: Tensor, offset: number): number {
  return native.stec_tensor_put_bytes(tensor.handle, offset, new Uint8Array(4).fill(1), 4);
}

function makeReducer(...parameters: Tensor[]): number {
  payload.set(parameters.map(({ handle }) => handle));
  const reducer = native.stec_reducer_new(group, parameters.length);
  return reducer < 0 ? reducer : native.stec_reducer_free(reducer);
}

type Normalized = Record<"input" | "weight" | "bias" | "mean" | "variance" | "shortcut", Tensor>;

function normalize(odd: Partial<Normalized>): number {
  const part = () => ones([3]);
  const given: Normalized = {
    input: ones(SHAPE).requiresGrad_(),
    weight: part().requiresGrad_(),
    bias: part(),
    mean: part(),
    variance: part(),
    shortcut: ones(SHAPE),
    ...odd,
  };
  const [input, weight, bias, mean, variance, shortcut] = Object.values(given).map(({ handle }) => handle);
  return backward(
    native.stec_sync_batch_norm(group, input, weight, bias, mean, variance, 0.1, 1e-5, shortcut, 1),
  );
}

/** Functions that read or write elements. */
const READERS: Record<string, (tensor: Tensor) => number> = {
  "copy out": (tensor) => copyOut(tensor, 0),
  "copy out, not aligned": (tensor) => copyOut(tensor, 1),
  "put": (tensor) => put(tensor, 0),
  "put at the end": (tensor) => put(tensor, tensor.nbytes - 4),
  "gather": (tensor) => backward(native.stec_gather(group, tensor.handle)),
  "sum": (tensor) => native.stec_sum(group, tensor.handle),
  "broadcast": (tensor) => {
    payload[0] = payload[1] = tensor.handle;
    return native.stec_broadcast(group, 2, 0);
  },
  "reducer": (tensor) => makeReducer(tensor),
  "reducer of the same twice": (tensor) => makeReducer(tensor, tensor),
  ...Object.fromEntries(
    (["input", "weight", "bias", "mean", "variance", "shortcut"] as const)
      .map((part) => [`batch norm, ${part}`, (tensor: Tensor) => normalize({ [part]: tensor })]),
  ),
  "batch norm, all": (tensor) =>
    normalize({
      input: tensor,
      weight: tensor,
      bias: tensor,
      mean: tensor,
      variance: tensor,
      shortcut: tensor,
    }),
};

const OTHERS: Record<string, (tensor: Tensor) => number> = {
  "info": (tensor) => native.stec_tensor_info(tensor.handle),
  "counters": () => native.stec_counters(),
  "backward": (tensor) => native.stec_backward(tensor.handle, tensor.handle, 1, 1),
  "backward with a gradient": (tensor) =>
    native.stec_backward(ones(SHAPE).requiresGrad_().mul(2).handle, tensor.handle, 0, 0),
  "gradient": (tensor) => native.stec_gradient(tensor.handle),
  "gradients": (tensor) => {
    for (let slot = 0; slot < 3; slot++) {
      slotWords.set([8, 1], 4 * slot);
      slotNumbers[2 * slot + 1] = slot;
      payload[slot] = tensor.handle;
    }
    return native.stec_gradients(0, 0, 1);
  },
  "set a gradient": (tensor) => {
    const leaf = ones(SHAPE).requiresGrad_(), status = native.stec_set_gradient(leaf.handle, tensor.handle);
    return status < 0 ? status : native.stec_backward(leaf.mul(2).sum().handle, 0, 0, 0);
  },
  "set the gradient": (tensor) => native.stec_set_gradient(tensor.handle, ones(SHAPE).handle),
  "require a gradient": (tensor) => native.stec_set_requires_grad(tensor.handle, 1),
};

/** Calls with wrong sizes and numbers. */
const WRONG: Record<string, () => number> = {
  "broadcast of nothing": () => native.stec_broadcast(group, 0, 0),
  "broadcast from nobody": () => native.stec_broadcast(group, 0, 1),
  "reducer of nothing": () => makeReducer(),
  "reducer of more than a frame": () => native.stec_reducer_new(group, 2 ** 32 - 1),
  "group of too many": () => native.stec_group_new(group, 0, 2 ** 32 - 1, 1000, new Uint8Array(1), 1),
  "batch norm of one dimension": () => normalize({ input: ones([3]) }),
  "batch norm, float64": () => normalize({ input: ones(SHAPE, { dtype: "float64" }) }),
  ...Object.fromEntries(
    (["weight", "bias", "mean", "variance"] as const).flatMap((part) =>
      [0, 1, 2, 4, 30_000].map((channels) => [
        `batch norm, ${part} of ${channels} channels`,
        () => normalize({ [part]: ones([channels]) }),
      ])
    ),
  ),
  "bytes of a quantized dtype": () => {
    payload[0] = 4;
    return native.stec_tensor_from_bytes(new Uint8Array(4), 4, QINT8, 1);
  },
  "borrowed bytes of a quantized dtype": () => {
    payload[0] = 4;
    return native.stec_tensor_borrow_bytes(new Uint8Array(4), 4, QINT8, 1, 1);
  },
  "borrowed bools": () => {
    payload[0] = 4;
    return native.stec_tensor_borrow_bytes(new Uint8Array(4).fill(2), 4, 11, 1, 1);
  },
  "bools put": () =>
    native.stec_tensor_put_bytes(ones([4], { dtype: "bool" }).handle, 0, new Uint8Array(1).fill(2), 1),
  ...Object.fromEntries(
    [[-1], [0.5], [NaN], [2 ** 53, 2 ** 53], [2 ** 40, 2 ** 40, 0], [Infinity]].map((shape) => [
      `bytes of shape ${shape}`,
      () => {
        payload.set(shape);
        return native.stec_tensor_from_bytes(new Uint8Array(4), 4, 0, shape.length);
      },
    ]),
  ),
};

const encoder = new TextEncoder();

function attempt(what: string, body: () => number): boolean {
  // A crash is the fault of what was named last.
  Deno.stdout.writeSync(encoder.encode(`${what}: `));
  const refused = scope(() => {
    try {
      return body() < 0;
    } catch {
      return true; // libtorch could not make the tensor or describe it
    }
  });
  Deno.stdout.writeSync(encoder.encode(refused ? "refused\n" : "done\n"));
  return refused;
}

const accepted: string[] = [];
for (const [kind, make] of Object.entries({ ...WITHOUT_MEMORY, ...ODD })) {
  for (const [name, use] of Object.entries({ ...READERS, ...OTHERS })) {
    const what = `${name} of ${kind}`, refused = attempt(what, () => use(make()));
    if (!refused && kind in WITHOUT_MEMORY && name in READERS) accepted.push(what);
  }
}
for (const [what, use] of Object.entries(WRONG)) {
  if (!attempt(what, use)) accepted.push(what);
}
if (accepted.length > 0) throw new Error(`These were not refused: ${accepted.join("; ")}`);
Deno.stdout.writeSync(encoder.encode("survived\n"));
Deno.exit(); // The store's thread would go on.
