import assert from "node:assert/strict";
import { Store } from "../../src/distributed/store.ts";

Deno.test("Store: a program that takes the connection and never answers is given up in time", async () => {
  // The store blocks this thread, so another process listens.
  const script = `const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    Deno.stdout.writeSync(new TextEncoder().encode(String(listener.addr.port)));
    for await (const connection of listener) globalThis.kept = connection;`;
  await using silent = new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped" }).spawn();
  const reader = silent.stdout.getReader();
  const port = Number(new TextDecoder().decode((await reader.read()).value));
  const options = { host: "127.0.0.1", port, serves: false, timeout: 1, prefix: "test" };
  assert.throws(() => new Store(options), /no answer within 1 s; another program may use this port/);
  silent.kill();
  await silent.status;
  await reader.cancel();
});
