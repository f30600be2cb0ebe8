import assert from "node:assert/strict";
import { arange, ones, tensor } from "../../src/torch/create.ts";
import { PAYLOAD } from "../../src/torch/library.ts";
import {
  type Argument,
  call,
  callAll,
  callInPlace,
  callList,
  operatorSchema,
} from "../../src/torch/operator.ts";
import { counters, scope } from "../../src/torch/scope.ts";
import { Tensor } from "../../src/torch/tensor.ts";

/** Asserts that a call fails as a TorchError with this message. */
function refuse(message: RegExp | string, name: string, ...args: Argument[]): void {
  assert.throws(() => call(name, ...args), { name: "TorchError", message });
}

Deno.test("operator: any operator is called by its schema's name", () => {
  scope(() => {
    const x = arange(0, 6).reshape(2, 3);
    assert.deepEqual(call("aten::roll", x, [1], [1]).toNumbers(), [2, 0, 1, 5, 3, 4]);
    assert.deepEqual(call("aten::cumsum", x, 0).toNumbers(), [0, 1, 2, 3, 5, 7]);
    assert.deepEqual(call("aten::tril", x).toNumbers(), [0, 0, 0, 3, 4, 0]);
    const [q, r] = callAll("aten::linalg_qr", x.double()) as Tensor[];
    assert.ok(q.matmul(r).sub(x).abs().amax().item() < 1e-12);
    assert.equal(
      operatorSchema("aten::add.Tensor"),
      "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    );
  });
});

Deno.test("operator: every kind of argument arrives", () => {
  scope(() => {
    const x = tensor([1, 2, 3, 4]);
    assert.deepEqual(call("aten::add.Tensor", x, x, 0.5).toNumbers(), [1.5, 3, 4.5, 6]);
    assert.deepEqual(call("aten::add.Tensor", x, 1).toNumbers(), [2, 3, 4, 5], "a number for a tensor");
    assert.deepEqual(call("aten::add.Tensor", x, x, 2n).toNumbers(), [3, 6, 9, 12], "a bigint for a Scalar");
    assert.equal(call("aten::full", [], true).dtype, "bool", "a boolean for a Scalar");
    assert.deepEqual(call("aten::sum.dim_IntList", x, null, true).shape, [1], "None and a boolean");
    assert.deepEqual(
      call("aten::sum.dim_IntList", x, [0], undefined, 7).item(),
      10,
      "a default, and a dtype",
    );
    assert.deepEqual(call("aten::sum.dim_IntList", x, 0).item(), 10, "a number for a list");
    assert.deepEqual(
      call("aten::slice.Tensor", x, 0, 1n, null, 2).toNumbers(),
      [2, 4],
      "a bigint for an int",
    );
    assert.deepEqual(call("aten::div.Tensor_mode", x, 2, "floor").toNumbers(), [0, 1, 1, 2], "a string");
    assert.deepEqual(
      call("aten::zeros", [], undefined, undefined, "cpu").shape,
      [],
      "an empty list and a device",
    );
    assert.deepEqual(call("aten::cat", [x, x], -1).shape, [8], "a list of tensors");
    const none = call("aten::index.Tensor", x.reshape(2, 2), [null, tensor([1], { dtype: "int64" })]);
    assert.deepEqual(none.toNumbers(), [2, 4], "a list with None");
    const wide = call("aten::upsample_nearest2d.vec", ones([1, 1, 2, 2]), null, [1.5, 2]);
    assert.deepEqual(wide.shape, [1, 1, 3, 4], "a list of floats");
    const flags = callAll("aten::native_layer_norm_backward", x, x, [4], x.mean(), x.mean(), null, null, [
      1,
      0,
      0,
    ]);
    assert.deepEqual(flags.slice(1), [null, null], "a list of bools, and results that are None");
    assert.deepEqual(call("aten::bucketize.Scalar", 3, x).item(), 2, "a Scalar before a tensor");
    assert.equal(call("aten::full", [1], 2n ** 53n + 1n, 4).toTypedArray()[0], 2n ** 53n + 1n, "all 64 bits");
  });
});

Deno.test("operator: every kind of result comes back", () => {
  scope(() => {
    const x = tensor([[1, 2], [3, 4]]);
    assert.deepEqual(callAll("aten::size.int", x, 1), [2]);
    assert.deepEqual(callAll("aten::is_nonzero", tensor(1)), [true]);
    assert.deepEqual(callAll("aten::item", tensor(1.5)), [1.5]);
    assert.deepEqual(callAll("aten::item", tensor(7, { dtype: "int64" })), [7]);
    assert.deepEqual(callAll("aten::equal", x, x), [true]);
    assert.deepEqual(callList("aten::unbind.int", x).map((row) => row.toNumbers()), [[1, 2], [3, 4]]);
    assert.deepEqual(callAll("aten::_foreach_add_.Scalar", [x], 1), []);
    assert.deepEqual(x.toNumbers(), [2, 3, 4, 5]);
    const [values, places] = callAll("aten::max.dim", x, 0) as Tensor[];
    assert.deepEqual([values.toNumbers(), places.toNumbers()], [[4, 5], [1, 1]]);
    assert.throws(
      () => callAll("aten::item", call("aten::complex", tensor(1), tensor(1))),
      /cannot be passed on/,
    );
  });
});

Deno.test("operator: an operator in place returns its first argument itself", () => {
  scope(() => {
    const x = ones([2]), live = counters().tensors;
    assert.equal(call("aten::mul_.Tensor", x, 2), x);
    assert.deepEqual(callAll("aten::mul_.Tensor", x, 2), [x]);
    callInPlace("aten::mul_.Tensor", x, 2);
    assert.equal(counters().tensors, live);
    assert.deepEqual(x.toNumbers(), [8, 8]);
    assert.notEqual(call("aten::contiguous", x), x);
  });
});

Deno.test("operator: wrong arguments are named, with what was wanted", () => {
  scope(() => {
    const x = ones([2, 3]);
    refuse(/find an operator: libtorch has no operator aten::nothing/, "aten::nothing");
    refuse(/libtorch has no operator add/, "add", x);
    refuse(
      "aten::relu: takes at most 1 arguments, got 2: aten::relu(Tensor self) -> Tensor",
      "aten::relu",
      x,
      1,
    );
    refuse("aten::matmul: argument 'other' has no default", "aten::matmul", x);
    refuse("aten::matmul: argument 'other' wants Tensor, got a string", "aten::matmul", x, "y");
    refuse("aten::matmul: argument 'other' wants Tensor, got null", "aten::matmul", x, null);
    refuse("aten::relu: argument 'self' wants Tensor, got a tensor list", "aten::relu", [x]);
    refuse("aten::relu: argument 'self' wants Tensor, got a number list", "aten::relu", [1]);
    refuse("aten::select.int: argument 'dim' wants int, got a boolean", "aten::select.int", x, true, 0);
    refuse("aten::select.int: argument 'dim' wants a whole number, got 0.5", "aten::select.int", x, 0.5, 0);
    refuse("aten::select.int: argument 'dim' wants int, got a tensor", "aten::select.int", x, x, 0);
    refuse(/aten::cat: argument 'tensors' wants List\[Tensor\], got a tensor/, "aten::cat", x);
    refuse("aten::cat: argument 'tensors' takes no list of numbers", "aten::cat", [1, 2]);
    refuse("aten::cat: a tensor list holds a missing tensor", "aten::cat", [x, null]);
    refuse(/aten::permute: argument 'dims' wants a whole number, got nan/, "aten::permute", x, [NaN, 0]);
    refuse(/aten::zeros: unknown dtype number 99/, "aten::zeros", [1], 99);
    refuse(/aten::zeros: unknown dtype number 6.5/, "aten::zeros", [1], 6.5);
    refuse(/argument 'layout' wants .*Layout.*, got the number 3/, "aten::zeros", [1], 6, 3);
    refuse(/argument 'memory_format' wants MemoryFormat, got the number 9/, "aten::contiguous", x, 9);
    refuse(/aten::zeros: .*nowhere/, "aten::zeros", [1], 6, undefined, "nowhere");
    refuse(/aten::matmul: .*\(arguments: float32\[2, 3\], float32\[2, 3\]\)/, "aten::matmul", x, x);
    assert.throws(() => operatorSchema("aten::nothing"), /libtorch has no operator aten::nothing/);
    assert.throws(() => call("aten::zeros", Array(PAYLOAD + 1).fill(1)), RangeError);
    assert.throws(() => call("aten::relu", ...Array(70).fill(x)), /takes at most 1 arguments, got/);
  });
});

Deno.test("operator: text and lists share the payload without touching each other", () => {
  scope(() => {
    const x = tensor([5, 7]), long = Array.from({ length: 1000 }, () => x);
    assert.deepEqual(call("aten::cat", long).shape, [2000]);
    assert.throws(() => call("aten::div.Tensor_mode", x, x, "é".repeat(500)), /é{100}/);
    assert.throws(() => call("aten::div.Tensor_mode", x, x, "\0"), /aten::div.Tensor_mode/);
    assert.deepEqual(call("aten::div.Tensor_mode", x, 2, "trunc").toNumbers(), [2, 3]);
  });
});

Deno.test("operator: failed calls leave nothing behind", () => {
  scope(() => {
    const x = ones([2, 3]), before = counters();
    for (let i = 0; i < 10; i++) {
      assert.throws(() => x.matmul(x));
      assert.throws(() => call("aten::cat", [x, ones([1])].slice(0, 1), 7));
    }
    assert.equal(counters().tensors, before.tensors + 10);
  });
});

Deno.test("operator: those that reach beyond tensors are denied", () => {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(file, "secret");
    const message =
      /^find an operator: the operator [\w:]+ cannot be called from here: it reaches beyond tensors$/;
    for (const name of ["aten::from_file", "aten::from_file.out"]) {
      refuse(message, name, file, false, 6, 0);
      assert.throws(() => operatorSchema(name), { name: "TorchError", message });
    }
    refuse(message, "inductor::_reinterpret_tensor", ones([1]), [1000], [1], 0);
    assert.equal(Deno.readTextFileSync(file), "secret");
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("operator: a backend that lacks an operator is named without the page about the others", () => {
  scope(() => {
    const sparse = call("aten::to_sparse", ones([2, 2]));
    refuse(
      /^aten::as_strided: Could not run 'aten::as_strided' .* backend\. \(arguments: float32\[2, 2\] \(Sparse\)\)$/,
      "aten::as_strided",
      sparse,
      [1],
      [1],
    );
    const nested = call("aten::_nested_tensor_from_tensor_list", [ones([2]), ones([3])]);
    refuse(/\(arguments: float32 nested\)$/, "aten::roll", nested, [1], [0]);
  });
});
