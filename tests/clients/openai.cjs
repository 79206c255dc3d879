// The openai package for Node does its ordinary jobs; what the gateway must hold is asserted here.
const assert = require("node:assert/strict");
const OpenAI = require("openai");

const { v1, chat, embed, question, weather, extract, tool, person } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: v1, apiKey: "none", maxRetries: 0, timeout: 600000 });
const ask = (content, more) => ({
  model: chat, messages: [{ role: "user", content }], temperature: 0, max_tokens: 64, ...more,
});
const usage = { stream_options: { include_usage: true } };
const near = (vector) => assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);
const schema = { type: "json_schema", json_schema: { name: "person", schema: person, strict: true } };
const isPerson = (text) => assert.deepEqual(Object.keys(JSON.parse(text)).sort(), ["age", "name"]);

async function chats() {
  const whole = await client.chat.completions.create(ask(question));
  let text = "";
  for await (const chunk of await client.chat.completions.create(ask(question, { stream: true, ...usage }))) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  const streamed = await client.chat.completions.stream(ask(question, usage)).finalChatCompletion();
  assert.ok(text);
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(streamed.choices[0].message.content, text);
  assert.equal(streamed.usage.completion_tokens, whole.usage.completion_tokens);
  const two = await client.chat.completions.stream(ask(question, { n: 2 })).finalChatCompletion();
  assert.deepEqual(two.choices.map((choice) => choice.message.content), [text, text]);
  const cut = await client.chat.completions.create(ask(question, { max_tokens: 3 }));
  assert.deepEqual([cut.choices[0].finish_reason, cut.usage.completion_tokens], ["length", 3]);
}

async function formats() {
  const parsed = await client.chat.completions.parse(ask(extract, { response_format: schema }));
  isPerson(parsed.choices[0].message.content);
  const stream = client.chat.completions.stream(ask(extract, { response_format: schema }));
  assert.equal(await stream.finalContent(), parsed.choices[0].message.content);
}

async function tools() {
  const free = await client.chat.completions.create(ask(weather, { tools: [tool] }));
  assert.equal(free.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(JSON.parse(free.choices[0].message.tool_calls[0].function.arguments), { city: "Oslo" });
  const must = ask("Hello", { tools: [tool], tool_choice: "required" });
  const forced = await client.chat.completions.stream(must).finalChatCompletion();
  assert.equal(forced.choices[0].message.tool_calls[0].function.name, "get_weather");
  const asked = [];
  const weatherman = { ...tool, function: { ...tool.function, parse: JSON.parse, function: (found) => {
    asked.push(found);
    return { sky: "sunny" };
  } } };
  const runner = client.chat.completions.runTools(ask(weather, { tools: [weatherman] }));
  assert.ok(await runner.finalContent());
  assert.deepEqual(asked, [{ city: "Oslo" }]);
}

async function responses() {
  const asked = { model: chat, input: question, temperature: 0, max_output_tokens: 64 };
  const whole = await client.responses.create(asked);
  const streamed = await client.responses.stream(asked).finalResponse();
  assert.equal(whole.status, "completed");
  assert.ok(whole.output_text);
  assert.equal(streamed.output_text, whole.output_text);
  assert.equal((await client.responses.retrieve(whole.id)).output_text, whole.output_text);
  assert.equal((await client.responses.inputItems.list(whole.id)).data.length, 1);
  const next = await client.responses.create({ ...asked, input: "And its name?", previous_response_id: whole.id });
  assert.ok(next.usage.input_tokens > whole.usage.input_tokens);
  const format = { type: "json_schema", name: "person", schema: person, strict: true };
  const parsed = await client.responses.parse({ ...asked, input: extract, text: { format } });
  isPerson(parsed.output_text);
  await client.responses.delete(whole.id);
  await assert.rejects(client.responses.retrieve(whole.id), { status: 404 });
}

async function others() {
  const { data, response } = await client.chat.completions.create(ask(question)).withResponse();
  assert.ok(data.choices[0].message.content);
  assert.ok(response.headers.get("x-request-id"));
  const raw = await client.chat.completions.create(ask(question, { stream: true })).asResponse();
  assert.ok((await raw.text()).trimEnd().endsWith("data: [DONE]"));
  const plain = { model: chat, prompt: "The gateway", temperature: 0, max_tokens: 8 };
  const whole = await client.completions.create(plain);
  let text = "";
  for await (const chunk of await client.completions.create({ ...plain, stream: true })) {
    text += chunk.choices[0]?.text ?? "";
  }
  assert.equal(text, whole.choices[0].text);
  for (const encoding_format of [undefined, "float", "base64"]) {
    const vectors = await client.embeddings.create({ model: embed, input: ["a", "b"], encoding_format });
    assert.equal(vectors.data.length, 2);
    if (encoding_format !== "base64") near(vectors.data[0].embedding);
  }
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  assert.ok(models.includes(chat) && models.includes(embed));
  assert.equal((await client.models.retrieve(chat)).id, chat);
}

async function refusals() {
  const missing = { status: 404, code: "model_not_found", param: "model", message: /no\/such/ };
  await assert.rejects(client.chat.completions.create({ ...ask(question), model: "no/such" }), missing);
  await assert.rejects(client.chat.completions.create(ask(question, { temperature: 9 })), { status: 400 });
}

(async () => {
  for (const job of [chats, formats, tools, responses, others, refusals]) await job();
  console.log("every job is done");
})().catch((error) => { console.error(error); process.exit(1); });
