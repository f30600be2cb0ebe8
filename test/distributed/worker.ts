/** One of several processes in a test: runs the job that its first argument names and prints what it finds as JSON. */

import { type Peers } from "../../src/nn/peers.ts";
import { together } from "../../src/distributed/together.ts";
import { launchedWorld } from "../../src/distributed/world.ts";
import { ntXent } from "../../src/methods/nt_xent.ts";
import { relicLoss } from "../../src/methods/relic_loss.ts";
import { tensor } from "../../src/torch/create.ts";
import { scope } from "../../src/torch/scope.ts";
import type { Tensor } from "../../src/torch/tensor.ts";
import { goldenFile, unit } from "../golden.ts";
import { normalizeRows, trainSteps } from "./steps.ts";

const [job, ...args] = Deno.args;

/** The jobs. What they return is printed. */
const JOBS: Record<string, (peers: Peers) => unknown> = {
  /** The golden case of NT-Xent on two processes. */
  ntXent(peers) {
    const golden = goldenFile("nt_xent_two_ranks");
    const z1 = golden.get(`rank${peers.rank}.z1`)!.requiresGrad_();
    const z2 = golden.get(`rank${peers.rank}.z2`)!.requiresGrad_();
    const result = ntXent(z1, z2, Number(args[0]), { gathering: peers });
    result.loss.backward();
    return {
      loss: result.loss.item(),
      accuracy: result.accuracy.item(),
      contrastAccuracy: result.contrastAccuracy.item(),
      contrastEntropy: result.contrastEntropy.item(),
      gradient1: z1.grad!.toNumbers(),
      gradient2: z2.grad!.toNumbers(),
    };
  },
  /** The golden case of ReLIC on two processes. */
  relic(peers) {
    const part = (name: string) => unit(`methods.ranks.${name}`, [8, 16]).chunk(2)[peers.rank].mul(1);
    const [qa, qb, za, zb] = ["qa", "qb", "za", "zb"].map(part);
    const { loss } = relicLoss(
      { qa: qa.requiresGrad_(), qb: qb.requiresGrad_(), za, zb },
      { temperature: 0.2, alpha: 1 },
      peers,
    );
    loss.backward();
    return { loss: loss.item(), gradientA: qa.grad!.toNumbers(), gradientB: qb.grad!.toNumbers() };
  },
  /** A few optimiser steps. */
  steps: (peers) => trainSteps(peers, JSON.parse(args[0])),
  /** One BatchNorm over long rows. */
  normalizeRows: (peers) => normalizeRows(peers, JSON.parse(args[0])),
  /** Rank 1 fails by itself while the others wait for it. */
  fail(peers) {
    if (peers.rank === 1) throw new RangeError("Cannot read the disk: it is on fire");
    return peers.any(false);
  },
  /** Nothing but a collective, after the comparison of facts. */
  agree: (peers) => peers.any(false),
  /** Every collective with numbers that tell ranks apart. */
  collectives(peers) {
    const own = tensor([[peers.rank, 1]], { dtype: "float64" });
    const shared = [tensor([peers.rank, 5]), tensor([peers.rank], { dtype: "int64" })];
    peers.share(shared);
    return {
      gathered: peers.gather(own).toNumbers(),
      mean: peers.mean_(tensor([peers.rank, 10], { dtype: "float64" })).toNumbers(),
      shared: shared.map((tensor: Tensor) => tensor.toNumbers()),
      any: [false, peers.rank === 1, true].map((flag) => peers.any(flag)),
    };
  },
};

const found = await together(
  launchedWorld(Deno.env),
  { timeout: 60 },
  async (peers) => {
    // Each rank has an argument of its own; all have the GPU that follows them, if any.
    if (job === "agree") await peers.agree({ "--seed": args[peers.rank] }, args[peers.size] ?? null);
    return scope(() => JOBS[job](peers));
  },
);
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(found)));
Deno.exit();
