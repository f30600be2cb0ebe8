import assert from "node:assert/strict";
import { join } from "node:path";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { MetricsLog } from "../../src/log/metrics.ts";
import { TensorBoardWriter } from "../../src/log/tensorboard.ts";
import { train } from "../../src/commands/train.ts";
import { temporaryFolder, writeCifar } from "../made_data.ts";
import { assertSameState } from "../run_files.ts";
import { small } from "../small_run.ts";

async function command(name: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(name, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** A disk of two megabytes; null where this process may not mount one. */
async function smallDisk(): Promise<AsyncDisposable & { path: string } | null> {
  const folder = temporaryFolder();
  if (Deno.uid() !== 0 || !await command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder.path)) {
    folder[Symbol.dispose]();
    return null;
  }
  return {
    path: folder.path,
    async [Symbol.asyncDispose]() {
      await command("umount", folder.path);
      folder[Symbol.dispose]();
    },
  };
}

/** Leaves so many bytes of a disk free. */
function fill(disk: string, free: number): void {
  using file = Deno.openSync(join(disk, "filler"), { write: true, create: true });
  let size = 0;
  try {
    for (;;) size += file.writeSync(new Uint8Array(4096));
  } catch {
    // It is full.
  }
  file.truncateSync(size - free);
}

const canMount = await (async () => {
  await using disk = await smallDisk();
  return disk !== null;
})();

Deno.test({
  name: `full disk: the good checkpoint stays, whole, and the run goes on from it when there is space${
    canMount ? "" : " (skipped: not root)"
  }`,
  ignore: !canMount,
  async fn() {
    using data = writeCifar({ train: 40, test: 4 });
    await using disk = (await smallDisk())!;
    const run = (results: string, more: Record<string, unknown> = {}) =>
      train(small(data.path, results, { max_epochs: 2, resume: true, ...more }), {
        signal: new AbortController().signal,
      });
    const results = join(disk.path, "results"), last = join(results, "last.ckpt");
    await run(results, { max_steps: 4 });
    // Space for some lines of the log, but not for a checkpoint; then for nothing at all.
    for (
      const [free, message] of [[64 << 10, /^Cannot write .*last\.ckpt: No space left/], [
        0,
        /^Cannot write /,
      ]] as const
    ) {
      fill(disk.path, free);
      await assert.rejects(run(results), (error: Error) => {
        assert.match(error.message, message);
        return true;
      });
      Deno.removeSync(join(disk.path, "filler"));
      using file = readCheckpoint(last);
      file.verify();
      assert.equal(parseLightning(file.root).globalStep, 4);
      const left = [...Deno.readDirSync(results)].map(({ name }) => name).filter((name) =>
        name.includes(".tmp-")
      );
      assert.deepEqual(left, [], "no half-written file is left");
    }
    await run(results);
    await run(join(data.path, "whole"));
    assertSameState(results, join(data.path, "whole"));
  },
});

Deno.test({
  name: `full disk: a log that cannot be written is named${canMount ? "" : " (skipped: not root)"}`,
  ignore: !canMount,
  async fn() {
    await using disk = (await smallDisk())!;
    using log = new MetricsLog(join(disk.path, "metrics.jsonl"));
    using events = new TensorBoardWriter(disk.path);
    fill(disk.path, 0);
    const untilFull = (write: () => void) => () => {
      for (let i = 0; i < 1000; i++) write();
    };
    assert.throws(
      untilFull(() => log.write(1, 0, { a: 1 })),
      /^Error: Cannot write .*metrics\.jsonl: No space left/,
    );
    assert.throws(untilFull(() => events.scalars(1, { a: 1 })), /^Error: Cannot write .*: No space left/);
  },
});
