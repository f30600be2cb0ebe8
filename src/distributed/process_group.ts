/**
 * Processes that compute together, on PyTorch's own engine: c10d with Gloo for the CPU and NCCL for GPUs.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { zeros } from "../torch/create.ts";
import { gpuNumber, synchronize } from "../torch/cuda.ts";
import { cuda } from "../torch/cuda_library.ts";
import { check, native, nativeError, PAYLOAD, payload } from "../torch/library.ts";
import { keep } from "../torch/scope.ts";
import { Tensor } from "../torch/tensor.ts";
import type { Facts, Peers } from "../nn/peers.ts";
import { failedKey } from "./blame.ts";
import { pollUntil } from "./poll.ts";
import { PeerLostError, type Store } from "./store.ts";

/** A process's place in a group. */
export interface GroupOptions {
  readonly rank: number;
  readonly size: number;
  /** Seconds after which a process that does not answer is given up. */
  readonly timeout: number;
  /** The machine that keeps the store: the network that leads to it is used. */
  readonly host: string;
}

/** The key of what rank 0 works with. */
const FACTS = "facts";

/** The processes that share a store. What one of them computes together with the others, all must. */
export class ProcessGroup implements Peers, Disposable {
  readonly rank: number;
  readonly size: number;
  /** The shim's handle, 0 once freed. */
  handle: number;
  readonly #flag: Tensor;
  readonly #store: Store;
  readonly #timeout: number;
  /** The GPU that the processes' connections reach, if one has joined. */
  #device = "cpu";
  /** Whether the work together is over. */
  hasParted = false;

  /** Connects this process to all others, and waits until all of them have come. */
  constructor(store: Store, { rank, size, timeout, host }: GroupOptions) {
    this.rank = rank;
    this.size = size;
    this.#store = store;
    this.#timeout = timeout;
    const hostBytes = new TextEncoder().encode(host);
    this.handle = native.stec_group_new(
      store.handle,
      rank,
      size,
      timeout * 1000,
      hostBytes,
      hostBytes.length,
    );
    if (this.handle < 0) throw nativeError(`connect ${size} processes`);
    this.#flag = keep(zeros([]));
  }

  /** Lets the group compute with tensors on this process's GPU, of which each process has another one. */
  joinGpu(device: string): void {
    const gpu = gpuNumber(device);
    if (gpu === null) {
      throw new RangeError(`Cannot connect processes on ${device} by NCCL: wanted cuda or cuda:N`);
    }
    check(cuda().stec_cuda_join(this.handle, gpu), "connect the processes' GPUs");
    this.#device = device;
  }

  async agree(facts: Facts, gpu: string | null): Promise<void> {
    const { rank } = this, store = this.#store;
    if (gpu !== null && await store.add(`gpu/${gpu}`, 1) > 1) {
      throw new Error(
        `Cannot train together: rank ${rank} has the same GPU as another rank; ` +
          "start as many processes on a machine as it has GPUs",
      );
    }
    if (rank === 0) return await store.set(FACTS, JSON.stringify(facts));
    const text = await pollUntil(async () => {
      if (await store.get(failedKey(0)) !== null) throw new PeerLostError("rank 0 failed");
      return await store.get(FACTS);
    }, this.#timeout * 1000);
    if (text === null) throw new PeerLostError("timed out waiting for the settings of rank 0");
    const first: Facts = JSON.parse(text);
    for (const name of new Set([...Object.keys(first), ...Object.keys(facts)])) {
      if (facts[name] === first[name]) continue;
      throw new Error(
        `Cannot train together: ${name} is ${facts[name]} on rank ${rank} and ${first[name]} on rank 0`,
      );
    }
  }

  gather(rows: Tensor): Tensor {
    const handle = native.stec_gather(this.handle, rows.handle);
    if (handle < 0) throw nativeError("gather");
    return new Tensor(handle);
  }

  mean_(tensor: Tensor): Tensor {
    return noGrad(() => this.#sum_(tensor).div_(this.size));
  }

  #sum_(tensor: Tensor): Tensor {
    check(native.stec_sum(this.handle, tensor.handle), "sum over processes");
    return tensor;
  }

  share(tensors: readonly Tensor[]): void {
    if (tensors.length > PAYLOAD) throw new RangeError(`Cannot share ${tensors.length} tensors at once`);
    for (const [i, tensor] of tensors.entries()) payload[i] = tensor.handle;
    check(noGrad(() => native.stec_broadcast(this.handle, tensors.length, 0)), "share tensors");
  }

  any(condition: boolean): boolean {
    return this.#sum_(this.#flag.fill_(condition ? 1 : 0)).item() > 0;
  }

  /** Milliseconds that this process has waited for the others in all of the above, and in BatchNorms; not its GPU. */
  get waited(): number {
    return check(native.stec_group_waited(this.handle), "read the time waited") / 1e6;
  }

  part(): void {
    if (this.handle === 0) return;
    synchronize(this.#device);
    this.any(false);
    this.hasParted = true;
    this[Symbol.dispose]();
  }

  /** Closes the connections; whoever waits for this process then fails. */
  [Symbol.dispose](): void {
    if (this.handle === 0) return;
    this.#flag[Symbol.dispose]();
    check(native.stec_group_free(this.handle), "close the connections");
    this.handle = 0;
  }
}
