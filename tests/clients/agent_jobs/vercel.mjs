// Jobs of the AI SDK in four providers: a JSON object a line, {client, job, outcome, reason}.
// Run as: node vercel.mjs URL ENGINE, in a folder that holds node_modules.
import assert from "node:assert/strict";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { z } from "zod";

const [url, engine] = process.argv.slice(2);
const options = { baseURL: `${url}/v1`, apiKey: "none" };
const [agent, typed] = engine === "sim" ? ["agent", "typed"] : ["hyperllama-tiny", "hyperllama-tiny"];
const openai = createOpenAI(options);
const compatible = createOpenAICompatible({
  ...options, name: "gateway", includeUsage: true, supportsStructuredOutputs: true,
});
const providers = {
  "AI SDK, openai": openai,
  "AI SDK, openai.chat": openai.chat,
  "AI SDK, openai-compatible": compatible,
  "AI SDK, anthropic": createAnthropic(options),
};
const weather = "What is the weather in Oslo?";
const asked = { maxRetries: 0, temperature: 0, maxOutputTokens: 120 };
const person = z.object({ name: z.string().max(24), age: z.number().int().min(0).max(150) });
const kinds = z.object({
  email: z.email(), id: z.uuid(), at: z.iso.datetime(), day: z.iso.date(), host: z.ipv4(),
  page: z.url(), token: z.nanoid(), step: z.number().multipleOf(5), tag: z.string().regex(/^[a-z]{3}$/),
  either: z.union([z.literal("a"), z.number()]), maybe: z.string().nullable().optional(),
});

function tools() {
  const ran = [];
  const get_weather = tool({
    description: "Get the weather in a city",
    inputSchema: z.object({ city: z.string().max(24) }),
    execute: async ({ city }) => { ran.push(city); return `It is sunny in ${city}`; },
  });
  return { ran, loop: { ...asked, tools: { get_weather }, stopWhen: stepCountIs(4) } };
}

const text = (found) => { assert.ok(found.text); assert.ok(found.usage.outputTokens > 0); };

const jobs = {
  "answer": async (model) => text(await generateText({ ...asked, model: model(agent), prompt: "Say hello" })),
  "streamed answer": async (model) => {
    const found = streamText({ ...asked, model: model(agent), system: "Be brief.", prompt: "Say hello", onError() {} });
    let streamed = "";
    for await (const part of found.textStream) streamed += part;
    assert.ok(streamed);
    assert.equal(streamed, await found.text);
    assert.ok((await found.usage).inputTokens > 0);
  },
  "tool loop": async (model) => {
    const { ran, loop } = tools();
    const found = await generateText({ ...loop, model: model(agent), prompt: weather });
    assert.equal(ran[0], "Oslo");
    assert.ok(found.steps.length > 1);
  },
  "streamed tool loop": async (model) => {
    const { ran, loop } = tools();
    const found = streamText({ ...loop, model: model(agent), prompt: weather, onError() {} });
    await found.consumeStream();
    assert.ok((await found.steps).length > 1);
    assert.equal(ran[0], "Oslo");
  },
  "second turn": async (model) => {
    const { ran, loop } = tools();
    const messages = [{ role: "user", content: weather }];
    const first = await generateText({ ...loop, model: model(agent), messages });
    messages.push(...first.response.messages, { role: "user", content: weather });
    await generateText({ ...loop, model: model(agent), messages });
    assert.ok(ran.length > 1);
  },
  "parallel calls": async (model) => {
    if (engine !== "sim") return "only the scripted engine calls two tools at will";
    const { ran, loop } = tools();
    await generateText({ ...loop, model: model(agent), prompt: "Look two cities up" });
    assert.deepEqual(ran, ["Oslo", "Bergen"]);
  },
  "object": async (model) => {
    const found = await generateObject({ ...asked, model: model(typed), schema: person, prompt: "Anna is 31 years old." });
    person.parse(found.object);
  },
  "streamed object": async (model) => {
    const found = streamObject({
      ...asked, model: model(typed), schema: person, prompt: "Anna is 31 years old.", onError() {},
    });
    for await (const part of found.partialObjectStream) assert.ok(part);
    person.parse(await found.object);
  },
  "object of zod's kinds": async (model) => {
    const found = await generateObject({
      ...asked, maxOutputTokens: 700, model: model(typed), schema: kinds, prompt: "Make one up.",
    });
    assert.ok(found.object.email.includes("@"));
  },
  "forced tool": async (model) => {
    const { loop } = tools();
    const found = await generateText({
      ...loop, stopWhen: stepCountIs(1), model: model(typed), prompt: "Hello", toolChoice: "required",
    });
    assert.equal(found.toolCalls[0].toolName, "get_weather");
  },
};

for (const [client, provider] of Object.entries(providers)) {
  for (const [job, work] of Object.entries(jobs)) {
    const result = { client, job, outcome: "done", reason: "" };
    try {
      const skipped = await work((name) => provider(name));
      if (skipped) Object.assign(result, { outcome: "skipped", reason: skipped });
    } catch (error) {
      const cause = error.responseBody ?? error.cause?.message ?? error.lastError?.message ?? "";
      Object.assign(result, { outcome: "failed", reason: `${error.message} ${cause}`.replace(/\s+/g, " ").slice(0, 300) });
    }
    console.log(JSON.stringify(result));
  }
}
