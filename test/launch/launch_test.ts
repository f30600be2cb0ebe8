import assert from "node:assert/strict";
import { denoCommand } from "../../src/launch/launch.ts";

/** The launching process, its output as it comes. */
class Launch {
  readonly process: Deno.ChildProcess;
  readonly #reader: ReadableStreamDefaultReader<string>;
  output = "";

  constructor(...args: string[]) {
    this.process = new Deno.Command(denoCommand(), {
      args: ["run", "--no-prompt", "--allow-read", "--allow-env=STEC_*", "--allow-run", parent, ...args],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reader = this.process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async waitFor(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`Ended before it said ${text}: ${this.output}`);
      this.output += value;
    }
  }

  /** Its exit status, after all of its output. */
  async end(): Promise<{ code: number; errors: string }> {
    const errors = new Response(this.process.stderr).text();
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) break;
      this.output += value;
    }
    return { code: (await this.process.status).code, errors: await errors };
  }
}

const parent = `${import.meta.dirname}/parent.ts`;

Deno.test("launch: the child knows that it was launched, may do less, and its exit status is passed on", async () => {
  const launch = new Launch("exit", "7");
  assert.deepEqual(await launch.end(), { code: 7, errors: "" });
  assert.equal(launch.output, "launched true, added, run prompt\n");
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 130]] as const) {
  Deno.test(`launch: ${signal} reaches the child, which ends as it likes`, async () => {
    const launch = new Launch("save");
    await launch.waitFor("ready");
    launch.process.kill(signal);
    assert.deepEqual(await launch.end(), { code, errors: "" });
    assert.equal(launch.output, `ready\ngot ${signal}\n`);
  });
}

Deno.test("launch: a Ctrl-C that arrives twice at once is one", async () => {
  const launch = new Launch("save");
  await launch.waitFor("ready");
  launch.process.kill("SIGINT");
  launch.process.kill("SIGINT");
  assert.deepEqual(await launch.end(), { code: 130, errors: "" });
  assert.equal(launch.output, "ready\ngot SIGINT\n");
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`launch: a second ${signal} ends a child that does not listen`, async () => {
    const launch = new Launch("deaf");
    await launch.waitFor("ready");
    launch.process.kill("SIGINT");
    await launch.waitFor("got SIGINT");
    // Later than the repetition of one key press.
    await new Promise((resolve) => setTimeout(resolve, 400));
    launch.process.kill(signal);
    assert.deepEqual(await launch.end(), { code, errors: "" });
  });
}

Deno.test("launch: a child that a signal ended is explained, unless it was asked to end", async () => {
  assert.deepEqual(await new Launch("die", "SIGKILL").end(), {
    code: 1,
    errors: "The program was ended by the signal SIGKILL, as happens when memory runs out\n",
  });
  assert.deepEqual(await new Launch("die", "SIGABRT").end(), {
    code: 1,
    errors: "The program was ended by the signal SIGABRT\n",
  });
  assert.deepEqual(await new Launch("die", "SIGINT").end(), { code: 130, errors: "" });
});
