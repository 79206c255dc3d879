// Every method of the ollama package for Node that asks the server for something, streamed and not.
const assert = require("node:assert/strict");
const { Ollama } = require("ollama");

const { url, chat, embed, question, weather, extract, tool, person } = JSON.parse(process.argv[2]);
const ollama = new Ollama({ host: url });
const options = { temperature: 0, num_predict: 64 };
const ask = (content, more) => ({
  model: chat, messages: [{ role: "user", content }], options, think: false, ...more,
});
const near = (vector) => assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);

async function all(stream) {
  const parts = [];
  for await (const part of await stream) parts.push(part);
  return parts;
}

async function answers() {
  const whole = await ollama.chat(ask(question));
  const parts = await all(ollama.chat(ask(question, { stream: true })));
  assert.ok(whole.message.content);
  assert.equal(parts.map((part) => part.message.content).join(""), whole.message.content);
  assert.equal(parts.at(-1).eval_count, whole.eval_count);
  assert.equal(parts.at(-1).done_reason, whole.done_reason);
  const prompt = { model: chat, prompt: question, options, think: false };
  const text = await ollama.generate(prompt);
  const pieces = await all(ollama.generate({ ...prompt, stream: true }));
  assert.ok(text.response);
  assert.equal(pieces.map((part) => part.response).join(""), text.response);
  const cut = await ollama.chat(ask(question, { options: { temperature: 0, num_predict: 3 } }));
  assert.deepEqual([cut.done_reason, cut.eval_count], ["length", 3]);
  const made = JSON.parse((await ollama.chat(ask(extract, { format: person }))).message.content);
  assert.deepEqual(Object.keys(made).sort(), ["age", "name"]);
  const likely = await ollama.chat(ask(question, { logprobs: true, top_logprobs: 2 }));
  assert.equal(likely.logprobs.map((token) => token.token).join(""), likely.message.content);
}

async function tools() {
  const whole = (await ollama.chat(ask(weather, { tools: [tool] }))).message;
  const streamed = await all(ollama.chat(ask(weather, { tools: [tool], stream: true })));
  const calls = streamed.flatMap((part) => part.message.tool_calls ?? []).map((call) => call.function.arguments);
  assert.deepEqual(whole.tool_calls[0].function.arguments, { city: "Oslo" });
  assert.deepEqual(calls, [{ city: "Oslo" }]);
  const result = { role: "tool", tool_name: "get_weather", content: '{"sky": "sunny"}' };
  const turns = [{ role: "user", content: weather }, whole, result];
  assert.ok((await ollama.chat({ ...ask(weather), messages: turns, tools: [tool] })).message.content);
}

async function vectors() {
  const found = await ollama.embed({ model: embed, input: ["a llama", "a gateway"] });
  assert.equal(found.embeddings.length, 2);
  found.embeddings.forEach(near);
  assert.equal((await ollama.embed({ model: embed, input: "a", dimensions: 4 })).embeddings[0].length, 4);
  assert.ok((await ollama.embeddings({ model: embed, prompt: "a" })).embedding.length > 0);
}

async function residency() {
  const named = async (list) => (await list).models.map((model) => model.name);
  assert.ok((await named(ollama.list())).includes(`${chat}:latest`));
  assert.ok((await ollama.show({ model: chat })).capabilities.includes("tools"));
  assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+$/);
  assert.equal((await ollama.generate({ model: chat, keep_alive: "10m" })).done_reason, "load");
  assert.ok((await named(ollama.ps())).includes(`${chat}:latest`));
}

async function store() {
  assert.equal((await all(ollama.pull({ model: "org/tiny", stream: true }))).at(-1).status, "success");
  assert.equal((await ollama.pull({ model: "org/tiny" })).status, "success");
  assert.equal((await ollama.create({ model: "mine", from: "org/tiny" })).status, "success");
  const made = ollama.create({ model: "mine", from: "org/tiny", system: "You are brief.", stream: true });
  assert.equal((await all(made)).at(-1).status, "success");
  assert.equal((await ollama.copy({ source: "mine", destination: "org/copy" })).status, "success");
  assert.equal((await ollama.push({ model: "org/copy" })).status, "success");
  assert.equal((await all(ollama.push({ model: "org/copy", stream: true }))).at(-1).status, "success");
  for (const model of ["mine", "org/copy", "org/tiny"]) {
    assert.equal((await ollama.delete({ model })).status, "success");
  }
}

async function refusals() {
  const missing = { message: "model 'nope' not found" };
  await assert.rejects(ollama.chat({ ...ask(question), model: "nope" }), { ...missing, status_code: 404 });
  await assert.rejects(all(ollama.chat({ ...ask(question), model: "nope", stream: true })), missing);
  const kind = { type: "noul", instructions: "Is this a greeting?" }; // for models of a kind that MAX does not run
  await assert.rejects(ollama.systemone({ model: chat, state: "Hello", questions: { kind } }), { status_code: 404 });
}

(async () => {
  for (const job of [answers, tools, vectors, residency, store, refusals]) await job();
  console.log("every job is done");
})().catch((error) => { console.error(error); process.exit(1); });
