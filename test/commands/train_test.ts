import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import { parseLightning } from "../../src/checkpoint/lightning.ts";
import { readCheckpoint } from "../../src/checkpoint/pytorch.ts";
import { pairsOf } from "../../src/data/batch.ts";
import { type BatchPlace, MemoryBatches } from "../../src/data/batches.ts";
import type { TrainSettings } from "../../src/config/settings.ts";
import { train, type TrainResult } from "../../src/commands/train.ts";
import { counters } from "../../src/torch/scope.ts";
import { writeCifar } from "../made_data.ts";
import { assertSameState, type Line, metrics, plainMetrics } from "../run_files.ts";
import { small } from "../small_run.ts";

async function run(settings: TrainSettings, signal = new AbortController().signal): Promise<TrainResult> {
  return await train(settings, { signal });
}

Deno.test("train: writes what method.md lists, and frees what it used", async () => {
  using folder = writeCifar({ train: 40, test: 10 });
  const results = join(folder.path, "results");
  const before = counters();
  const result = await run(small(folder.path, results));
  assert.deepEqual(counters(), before);
  assert.equal(result.interrupted, false);
  assert.equal(result.steps, 15);
  assert.equal(result.test?.count, 10);
  const names = [...Deno.readDirSync(results)].map((entry) => entry.name);
  for (const name of ["flags.json", "last.ckpt", "metrics.jsonl"]) assert.ok(names.includes(name), name);
  assert.ok(names.some((name) => name.startsWith("events.out.tfevents.")));
  const lines = metrics(results);
  for (
    const name of [
      "train/loss",
      "train/manip_loss",
      "train/manip_accuracy",
      "train/discrimination_loss",
      "train/supervised_loss",
      "train/supervised_accuracy",
      "train/contrast_accuracy",
      "train/contrast_entropy",
      "learning_rate",
    ]
  ) assert.ok(lines.filter((line) => Number.isFinite(line[name])).length === 15, name);
  assert.equal(lines[0].learning_rate, 0, "the first step has learning rate 0");
  assert.ok(lines.some((line) => Number.isFinite(line["val/loss"])));
  assert.ok(lines.some((line) => Number.isFinite(line["test/accuracy"])));
});

Deno.test("train: the same seed gives the same run, another seed another", async () => {
  using folder = writeCifar({ train: 24, test: 4 });
  const losses = async (name: string, seed: number) => {
    const results = join(folder.path, name);
    await run(small(folder.path, results, { max_epochs: 1, seed }));
    return metrics(results).map((line) => line["train/loss"]);
  };
  const first = await losses("a", 1);
  assert.deepEqual(await losses("b", 1), first);
  assert.notDeepEqual(await losses("c", 2), first);
});

Deno.test("train: a run that was stopped and resumed equals one that was not, to the bit", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const cases = [
    {},
    { optimizer: "adam", precision: "bf16", learning_rate: 1e-3 },
    { method: "byol", optimizer: "sgd", learning_rate: 0.05 },
    { method: "relic", precision: "bf16", ema_base: 0.9 },
  ];
  for (const [i, more] of cases.entries()) {
    const whole = join(folder.path, `whole${i}`), parts = join(folder.path, `parts${i}`);
    await run(small(folder.path, whole, { ...more, resume: true }));
    for (const stopAfter of [3, 4]) {
      const stopped = train(small(folder.path, parts, { ...more, resume: true }), {
        signal: abortedAfter(stopAfter),
      });
      assert.equal((await stopped).interrupted, true);
    }
    await run(small(folder.path, parts, { ...more, resume: true }));
    assert.deepEqual(plainMetrics(parts), plainMetrics(whole));
    assertSameState(parts, whole);
  }
});

Deno.test("train: wherever it is stopped and whatever it learns with, it goes on to the same weights", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const stop = fc.record({
    at: fc.integer({ min: 0, max: 14 }),
    how: fc.constantFrom("signal", "max_steps"),
  });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("lars", "sgd", "adam"),
      fc.constantFrom("fp32", "bf16"),
      // Those of 16 have their weights in memory with the channels last.
      fc.constantFrom(4, 16),
      fc.constantFrom(0, 1, 2),
      fc.array(stop, { minLength: 1, maxLength: 3 }),
      async (optimizer, precision, width, save_every, stops) => {
        const whole = join(folder.path, `whole${++count}`), parts = join(folder.path, `parts${count}`);
        const more = { optimizer, precision, width, save_every, learning_rate: 0.01, resume: true };
        await run(small(folder.path, whole, more));
        // The ends of epochs, after 5 and 10 steps, are among them.
        for (const { at, how } of stops.sort((a, b) => a.at - b.at)) {
          if (how === "max_steps") {
            await run(small(folder.path, parts, { ...more, max_steps: Math.max(at, 1) }));
          } else {
            const done = metricsOrNone(parts).at(-1)?.step ?? 0;
            await train(small(folder.path, parts, more), { signal: abortedAfter(Math.max(at - done, 0)) });
          }
        }
        await run(small(folder.path, parts, more));
        const trained = (folder: string) => plainMetrics(folder).filter((line) => "train/loss" in line);
        assert.deepEqual(trained(parts), trained(whole));
        assertSameState(parts, whole);
      },
    ),
    { numRuns: 4 },
  );
});

function metricsOrNone(folder: string): Line[] {
  try {
    return metrics(folder);
  } catch {
    return [];
  }
}

/** A signal that asks to stop after so many steps: a run looks at it before the first and after each. */
function abortedAfter(steps: number): { readonly aborted: boolean } {
  let looks = 0;
  return {
    get aborted() {
      return looks++ >= steps;
    },
  };
}

Deno.test("train: a corrupt newest checkpoint is passed over", async () => {
  using folder = writeCifar({ train: 16, test: 4 });
  const results = join(folder.path, "results");
  await run(small(folder.path, results, { max_epochs: 2, keep: 2 }));
  const last = join(results, "last.ckpt");
  const bytes = Deno.readFileSync(last);
  bytes[bytes.length >> 1] ^= 0xff;
  Deno.removeSync(last); // Not in place: an older name may be a link to the same bytes.
  Deno.writeFileSync(last, bytes);
  const result = await run(small(folder.path, results, { max_epochs: 3, resume: true }));
  assert.equal(result.steps, 6);
  // Steps 4 (again), 5 and 6 were done by the second run; its log goes on without a gap.
  const steps = metrics(results).filter((line) => "train/loss" in line).map((line) => line.step);
  assert.deepEqual(steps, [1, 2, 3, 4, 5, 6]);
});

Deno.test("train: a checkpoint of another architecture is refused in one message", async () => {
  using folder = writeCifar({ train: 16, test: 4 });
  const results = join(folder.path, "results");
  await run(small(folder.path, results, { max_epochs: 1 }));
  const other = small(folder.path, join(folder.path, "other"), {
    arch: "resnet50",
    ckpt_path: join(results, "last.ckpt"),
  });
  await assert.rejects(run(other), /Cannot load .*last\.ckpt.*resnet18/s);
});

Deno.test("train: linear evaluation takes the weights only and leaves the encoder as it is", async () => {
  using folder = writeCifar({ train: 16, test: 4 });
  const pretrained = join(folder.path, "pretrained"), linear = join(folder.path, "linear");
  await run(small(folder.path, pretrained, { max_epochs: 1 }));
  const settings = small(folder.path, linear, {
    max_epochs: 1,
    stop_gradient: 2,
    reinitialize_supervised_head: 1,
    optimizer: "sgd",
    nesterov: 1,
    ckpt_path: join(pretrained, "last.ckpt"),
  });
  const result = await run(settings);
  assert.equal(result.steps, 2, "epochs start anew");
});

Deno.test("train: a loss that is not finite stops the run with the step, the layer and the last good checkpoint", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  const results = join(folder.path, "results");
  // A learning rate that no network survives, from the second step on.
  const settings = small(folder.path, results, { optimizer: "sgd", learning_rate: 1e30, log_every: 100 });
  await assert.rejects(run(settings), (error: Error) => {
    assert.match(error.message, /^Stopped: step \d+ went wrong: .*not finite.*last\.ckpt$/s);
    return true;
  });
  using file = readCheckpoint(join(results, "last.ckpt"));
  const { stateDict } = parseLightning(file.root);
  for (const [name, stored] of stateDict) {
    if (stored.dtype !== "float32") continue;
    assert.ok(
      new Float32Array(stored.read().buffer).every(Number.isFinite),
      `${name} was saved though not finite`,
    );
  }
});

Deno.test("train: with --on_nan rollback it goes back and passes over batches, but not for ever", async () => {
  using folder = writeCifar({ train: 160, test: 4 });
  const results = join(folder.path, "results");
  const diverging = { optimizer: "sgd", learning_rate: 1e30, on_nan: "rollback", max_epochs: 2 };
  await assert.rejects(
    run(small(folder.path, results, diverging)),
    /^DivergedError: Stopped: step \d+ went wrong/,
  );
  // Ten batches were passed over one after the other: the log holds no step that went wrong.
  const losses = metrics(results).flatMap((line) => "train/loss" in line ? [line["train/loss"]] : []);
  assert.ok(losses.every(Number.isFinite), `${losses}`);
});

/** Lets a batch's images be what they cannot be in files, whenever it is computed in training. */
function spoil(place: BatchPlace, value: number): Disposable {
  const { prepare } = MemoryBatches.prototype;
  MemoryBatches.prototype.prepare = function (asked) {
    const prepared = prepare.call(this, asked);
    if (asked.epoch !== place.epoch || asked.step !== place.step) return prepared;
    return {
      toBatch() {
        const batch = prepared.toBatch();
        const pairs = pairsOf(batch);
        return { ...batch, pairs: { ...pairs, views: pairs.views.mul(value) } };
      },
    };
  };
  return { [Symbol.dispose]: () => MemoryBatches.prototype.prepare = prepare };
}

for (const careful of [true, false]) {
  const where = careful ? "" : ", found by going back where not every step is looked at";
  const more = { optimizer: "sgd", learning_rate: 0.01, save_every: 5, log_every: careful ? 1 : 10 };
  const signal = new AbortController().signal;

  Deno.test(`train: a batch that gives no finite loss stops the run with its step and the layer${where}`, async () => {
    using folder = writeCifar({ train: 160, test: 4 });
    using _ = spoil({ epoch: 0, step: 7 }, Infinity);
    const results = join(folder.path, "results");
    await assert.rejects(
      train(small(folder.path, results, more), { signal, careful }),
      /^DivergedError: Stopped: step 8 went wrong: the loss is NaN; the first that is not finite is the output of encoder\.conv1; the last good checkpoint is .*last\.ckpt$/,
    );
    using file = readCheckpoint(join(results, "last.ckpt"));
    assert.equal(parseLightning(file.root).globalStep, 5);
  });

  Deno.test(`train: with --on_nan rollback that batch alone is passed over${where}`, async () => {
    using folder = writeCifar({ train: 160, test: 4 });
    const plain = join(folder.path, "plain"), results = join(folder.path, "results"), before = counters();
    {
      using _ = spoil({ epoch: 0, step: 7 }, NaN);
      const settings = small(folder.path, results, { ...more, on_nan: "rollback", max_epochs: 1 });
      assert.equal((await train(settings, { signal, careful })).steps, 20);
    }
    assert.deepEqual(counters(), before);
    await run(small(folder.path, plain, { ...more, max_epochs: 1 }));
    const logged = (folder: string, from: number, to: number) =>
      plainMetrics(folder).filter((line) => "train/loss" in line && line.step >= from && line.step < to);
    assert.deepEqual(logged(results, 0, 8), logged(plain, 0, 8));
    assert.deepEqual(logged(results, 8, 9), []);
    assert.ok(logged(results, 9, 99).every((line) => Number.isFinite(line["train/loss"])));
    assert.equal(logged(results, 9, 99).length, careful ? 12 : 2);
  });
}

Deno.test("train: a model that went wrong unseen is not saved when the run is stopped", async () => {
  using folder = writeCifar({ train: 160, test: 4 });
  using _ = spoil({ epoch: 0, step: 7 }, NaN);
  const results = join(folder.path, "results");
  await assert.rejects(
    train(small(folder.path, results, { optimizer: "sgd", save_every: 5, log_every: 100 }), {
      signal: abortedAfter(9),
      careful: false,
    }),
    /Stopped: after step 9 the parameter .* is not finite; the last good checkpoint is .*last\.ckpt$/,
  );
  using file = readCheckpoint(join(results, "last.ckpt"));
  assert.equal(parseLightning(file.root).globalStep, 5);
});

Deno.test("train: a representation that collapses stops the run", async () => {
  using folder = writeCifar({ train: 40, test: 4 });
  using _ = spoil({ epoch: 1, step: 1 }, 0);
  const settings = small(folder.path, join(folder.path, "results"), { learning_rate: 0.01 });
  await assert.rejects(
    run(settings),
    /Stopped: step 7 went wrong: the representation has collapsed: .*; the last good checkpoint is .*last\.ckpt$/,
  );
});
