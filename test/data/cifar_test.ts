import assert from "node:assert/strict";
import { failureAsNobody } from "../as_nobody.ts";
import { type CifarName, loadCifar } from "../../src/data/cifar.ts";

/** Records in official form: labels as given, pixel j of record i is (7 i + j) modulo 256. */
function records(labels: readonly (readonly number[])[]): Uint8Array {
  const bytes = labels.map((label, i) => [...label, ...Array.from({ length: 3072 }, (_, j) => 7 * i + j)]);
  return Uint8Array.from(bytes.flat());
}

/** A folder in official layout with files of the given contents, gone after `use`. */
async function withFolder(
  files: Record<string, Uint8Array>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    for (const [name, bytes] of Object.entries(files)) {
      Deno.mkdirSync(`${folder}/${name.split("/")[0]}`, { recursive: true });
      Deno.writeFileSync(`${folder}/${name}`, bytes);
    }
    await use(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const TEN = "cifar-10-batches-bin", HUNDRED = "cifar-100-binary";

Deno.test("cifar: files of different lengths follow each other in order", async () => {
  const files: Record<string, Uint8Array> = {};
  for (let i = 1; i <= 5; i++) {
    files[`${TEN}/data_batch_${i}.bin`] = records(Array.from({ length: i }, (_, j) => [(i + j) % 10]));
  }
  await withFolder(files, async (folder) => {
    for (const dataDir of [folder, `${folder}/${TEN}`]) {
      const data = await loadCifar("cifar10", dataDir, "train");
      assert.equal(data.count, 15);
      assert.deepEqual([...data.labels!], [1, 2, 3, 3, 4, 5, 4, 5, 6, 7, 5, 6, 7, 8, 9]);
      assert.equal(data.images.length, 15 * 3072);
      assert.deepEqual([...data.images.subarray(14 * 3072, 14 * 3072 + 3)], [28, 29, 30]);
      assert.equal(data.classes[9], "truck");
    }
  });
});

Deno.test("cifar: CIFAR-100 takes the fine label, also over more records than are read at a time", async () => {
  const labels = Array.from({ length: 700 }, (_, i) => [i % 20, i % 100]);
  await withFolder({ [`${HUNDRED}/test.bin`]: records(labels) }, async (folder) => {
    const data = await loadCifar("cifar100", folder, "test");
    assert.deepEqual([...data.labels!], labels.map(([, fine]) => fine));
    assert.deepEqual(data.images.subarray(699 * 3072), records([[0]]).subarray(1).map((v) => v + 7 * 699));
    assert.equal(data.classes.length, 100);
    assert.equal(data.classes[99], "worm");
    assert.equal(new Set(data.classes).size, 100);
  });
});

Deno.test("cifar: what is wrong with the files is said in one sentence", async () => {
  const cases: readonly [CifarName, Uint8Array, RegExp][] = [
    [
      "cifar10",
      records([[1], [2]]).subarray(0, 4000),
      /3073 bytes, the file has 4000: 1 whole and 927 bytes over/,
    ],
    ["cifar10", new Uint8Array(0), /test_batch\.bin: a record is 3073 bytes, it is empty/],
    ["cifar10", records([[1], [10]]), /CIFAR-10 from .*test_batch\.bin: labels are 0 to 9, record 1 has 10/],
    ["cifar100", records([[0, 100]]), /CIFAR-100 from .*test\.bin: labels are 0 to 99, record 0 has 100/],
    ["cifar100", records([[5]]), /3074 bytes, the file has 3073: 0 whole/],
  ];
  for (const [name, bytes, message] of cases) {
    const file = name === "cifar10" ? `${TEN}/test_batch.bin` : `${HUNDRED}/test.bin`;
    await withFolder({ [file]: bytes }, async (folder) => {
      await assert.rejects(() => loadCifar(name, folder, "test"), { name: "RangeError", message });
    });
  }
});

Deno.test("cifar: missing files are named, with both places that were looked at", async () => {
  await withFolder({ [`${TEN}/data_batch_1.bin`]: records([[1]]) }, async (folder) => {
    await assert.rejects(() => loadCifar("cifar10", folder, "train"), (error: Error) => {
      assert.ok(error instanceof Deno.errors.NotFound);
      assert.match(error.message, /data_batch_1\.bin, .*data_batch_5\.bin not in [^;]+;/);
      assert.match(
        error.message,
        /; data_batch_2\.bin, .* not in .*cifar-10-batches-bin; --download fetches them$/,
      );
      return true;
    });
  });
  await assert.rejects(() => loadCifar("cifar100", "no/such/folder", "train"), Deno.errors.NotFound);
});

Deno.test("cifar: files and folders without permission are named", async () => {
  await withFolder({ [`${HUNDRED}/test.bin`]: records([[0, 1]]) }, (folder) => {
    Deno.chmodSync(folder, 0o755);
    const module = new URL("../../src/data/cifar.ts", import.meta.url);
    const said = () => failureAsNobody(module, "loadCifar", "cifar100", folder, "test");
    const path = `${folder}/${HUNDRED}/test.bin`;
    Deno.chmodSync(path, 0);
    assert.ok(said().startsWith(`Cannot read ${path}: Permission denied`), said());
    Deno.chmodSync(`${folder}/${HUNDRED}`, 0);
    assert.ok(said().startsWith(`Cannot look for ${path}: Permission denied`), said());
    Deno.chmodSync(`${folder}/${HUNDRED}`, 0o700);
    return Promise.resolve();
  });
});

const SAMPLE = new URL("../../../shared/data/cifar10-sample", import.meta.url).pathname;
const hasSample = (() => {
  try {
    return Deno.statSync(SAMPLE).isDirectory;
  } catch {
    return false;
  }
})();

Deno.test({
  name: `cifar: the sample of real images is read${hasSample ? "" : " (skipped: no ../shared)"}`,
  ignore: !hasSample,
  fn: async () => {
    const train = await loadCifar("cifar10", SAMPLE, "train"),
      test = await loadCifar("cifar10", SAMPLE, "test");
    assert.equal(train.count, 2000);
    assert.equal(test.count, 500);
    const mean = train.images.reduce((sum, value) => sum + value, 0) / train.images.length;
    assert.ok(mean > 110 && mean < 130, `mean pixel ${mean}`); // CIFAR-10's is about 121
  },
});
