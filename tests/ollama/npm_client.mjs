// Every method of the ollama package for Node, against the server whose URL is the first argument.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { Ollama } = await import(pathToFileURL(process.argv[3]).href);
const ollama = new Ollama({ host: process.argv[2] });
const messages = [{ role: "user", content: "hi" }];

async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

const whole = await ollama.chat({ model: "llama3.2", messages });
assert.equal(whole.message.content, "Hi there");
assert.equal(whole.done_reason, "stop");
const chat = await all(await ollama.chat({ model: "llama3.2", messages, stream: true, keep_alive: -1 }));
assert.deepEqual(chat.map((part) => part.message.content), ["Hi", " there", ""]);
assert.equal((await ollama.chat({ model: "llama3.2" })).done_reason, "load");

const text = await ollama.generate({ model: "llama3.2", prompt: "x", images: [new Uint8Array([1, 2])] });
assert.equal(text.response, "Hi there");
const lines = await all(await ollama.generate({ model: "llama3.2", prompt: "x", stream: true }));
assert.deepEqual(lines.map((part) => part.response), ["Hi", " there", ""]);
assert.equal((await ollama.ps()).models[0].name, "llama3.2:latest");
assert.equal((await ollama.generate({ model: "llama3.2", keep_alive: 0 })).done_reason, "unload");
assert.equal((await ollama.ps()).models.length, 0);

assert.deepEqual((await ollama.embed({ model: "org/all-minilm:22m", input: ["a"] })).embeddings, [[0.6, 0.8]]);
assert.equal((await ollama.embeddings({ model: "org/all-minilm:22m", prompt: "a" })).embedding.length, 2);

assert.equal((await ollama.list()).models.length, 4);
assert.deepEqual((await ollama.show({ model: "llama3.2" })).capabilities, ["completion", "tools", "insert"]);
assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+$/);

assert.equal((await ollama.pull({ model: "llama3.2" })).status, "success");
assert.equal((await all(await ollama.pull({ model: "llama3.2", stream: true }))).at(-1).status, "success");
assert.equal((await ollama.push({ model: "llama3.2" })).status, "success");
assert.equal((await ollama.create({ model: "new", from: "llama3.2" })).status, "success");
assert.equal((await ollama.copy({ source: "llama3.2", destination: "b" })).status, "success");
assert.equal((await ollama.delete({ model: "llama3.2" })).status, "success");

await assert.rejects(ollama.chat({ model: "nope", messages }), { message: "model 'nope' not found", status_code: 404 });
await assert.rejects(ollama.chat({ model: "nope", messages, stream: true }), { message: "model 'nope' not found" });
await assert.rejects(ollama.generate({ model: "llama3.2", prompt: "x", options: { stop: "x" }, stream: true }), {
  message: 'option "stop" must be of type array',
});

const stream = await ollama.chat({ model: "held", messages, stream: true });
await assert.rejects(async () => {
  for await (const part of stream) stream.abort();
}, { name: "AbortError" });
console.log("every method works");
