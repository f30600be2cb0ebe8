import assert from "node:assert/strict";
import { archiveOf } from "../../src/data/archives.ts";
import { CIFAR100 } from "../../src/data/cifar.ts";
import { missingArchive, obtain } from "../../src/data/obtain.ts";
import { STL10 } from "../../src/data/stl10.ts";
import { UsageError } from "../../src/base/errors.ts";
import { temporaryFolder, writeCifar100, writeStl10 } from "../made_data.ts";
import { archiveOfFolder, serveArchive } from "../served_archive.ts";

/** Sets STEC_ARCHIVE until disposed. */
function pointTo(address: string): Disposable {
  Deno.env.set("STEC_ARCHIVE", address);
  return { [Symbol.dispose]: () => Deno.env.delete("STEC_ARCHIVE") };
}

/** Keeps what is said. */
function listener() {
  const said: string[] = [], steps: string[] = [];
  return {
    said,
    steps,
    say: (text: string) => void said.push(text),
    step: (text: string, share: number) => void steps.push(`${text}: ${share}`),
  };
}

const FAST = { retryDelay: 1 }, STL = STL10.release!.archive;

Deno.test("obtain: a command asks for the splits that it reads, and for nothing that is there", () => {
  using stl10 = writeStl10({ train: 2, test: 2, unlabeled: 2 });
  const wanted = { dataset: "stl10", data_dir: stl10.path } as const;
  assert.equal(missingArchive(wanted, "train"), null);
  Deno.removeSync(`${stl10.path}/unlabeled_X.bin`);
  assert.equal(missingArchive(wanted, "train"), STL);
  assert.equal(missingArchive(wanted, "preview"), STL);
  assert.equal(missingArchive(wanted, "probe"), null);
  Deno.removeSync(`${stl10.path}/train_y.bin`);
  assert.equal(missingArchive(wanted, "probe"), STL);
  assert.equal(missingArchive(wanted, "eval"), null);
  assert.equal(
    missingArchive({ dataset: "cifar100", data_dir: stl10.path }, "eval"),
    CIFAR100.release!.archive,
  );
  assert.equal(missingArchive({ dataset: "imagenet", data_dir: stl10.path }, "train"), null);
});

Deno.test("obtain: the archive is downloaded, checked, unpacked and removed, and each stage reported", async () => {
  using made = writeCifar100({ train: 30, test: 10 });
  using folder = temporaryFolder();
  const data_dir = `${folder.path}/data`, heard = listener();
  await using server = serveArchive(await archiveOfFolder(made.path, "cifar-100-binary"));
  using _ = pointTo(server.address);
  await obtain({ dataset: "cifar100", data_dir }, "train", heard, FAST);
  const url = server.address.split("#")[0];
  assert.deepEqual(heard.said, [
    `Downloading CIFAR-100 from ${url} to ${data_dir}`,
    "Unpacking CIFAR-100",
    `CIFAR-100 is in ${data_dir}/cifar-100-binary`,
  ]);
  assert.equal(heard.steps.at(-1), "Checking CIFAR-100: 1");
  assert(heard.steps.includes("Downloading CIFAR-100, 1 MB: 1"));
  assert.deepEqual([...Deno.readDirSync(data_dir)].map(({ name }) => name), ["cifar-100-binary"]);
  const bytes = (path: string) => Deno.readFileSync(`${path}/train.bin`);
  assert.deepEqual(bytes(`${data_dir}/cifar-100-binary`), bytes(made.path));

  await obtain({ dataset: "cifar100", data_dir }, "train", heard, FAST);
  assert.deepEqual(server.asked, [0]);
});

Deno.test("obtain: of several at a time one downloads, the others wait for it", async () => {
  using made = writeCifar100({ train: 30, test: 10 });
  using folder = temporaryFolder();
  const wanted = { dataset: "cifar100", data_dir: folder.path } as const;
  const archive = await archiveOfFolder(made.path, "cifar-100-binary");
  await using server = serveArchive(archive, (request) => request === 0 ? "cut" : "whole");
  using _ = pointTo(server.address);
  const heard = [listener(), listener(), listener()];
  await Promise.all(heard.map((listener) => obtain(wanted, "train", listener, FAST)));
  const begun = (text: string) => heard.filter(({ said }) => said[0].startsWith(text)).length;
  assert.deepEqual([begun("Downloading"), begun("Waiting for another process")], [1, 2]);
  assert.deepEqual(server.asked, [0, archive.length >> 1]);
  assert.equal(missingArchive(wanted, "train"), null);
});

Deno.test("obtain: a folder that cannot be made is said in one sentence", async () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  const wanted = { dataset: "cifar10", data_dir: `${folder.path}/file/data` } as const;
  await assert.rejects(
    obtain(wanted, "eval", listener(), FAST),
    /^Error: Cannot download CIFAR-10: Not a directory/,
  );
});

Deno.test("obtain: what a killed process had unpacked is thrown away", async () => {
  using made = writeCifar100({ train: 3, test: 1 });
  using folder = temporaryFolder();
  Deno.mkdirSync(`${folder.path}/cifar-100-binary.tmp/cifar-100-binary`, { recursive: true });
  Deno.writeTextFileSync(`${folder.path}/cifar-100-binary.tmp/cifar-100-binary/train.bin`, "half");
  await using server = serveArchive(await archiveOfFolder(made.path, "cifar-100-binary"));
  using _ = pointTo(server.address);
  await obtain({ dataset: "cifar100", data_dir: folder.path }, "train", listener(), FAST);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["cifar-100-binary"]);
  assert.equal(Deno.statSync(`${folder.path}/cifar-100-binary/train.bin`).size, 3 * 3074);
});

Deno.test("archives: another address keeps the official SHA-256 unless it brings its own; nonsense is refused", () => {
  assert.equal(archiveOf(STL, ""), STL);
  const mirror = "https://mirror.test/a/stl10_binary.tar.gz", sha256 = "0".repeat(64);
  assert.deepEqual(archiveOf(STL, mirror), { ...STL, url: mirror });
  assert.deepEqual(archiveOf(STL, `${mirror}#sha256=${sha256}`), {
    ...STL,
    url: mirror,
    sha256,
  });
  for (const wrong of ["mirror", "file:///stl10.tar.gz", "https://mirror.test/", `${mirror}#sha256=12`]) {
    assert.throws(
      () => archiveOf(STL, wrong),
      (error) =>
        error instanceof UsageError && error.message.startsWith(`Cannot use STEC_ARCHIVE=${wrong}: it takes`),
    );
  }
});
