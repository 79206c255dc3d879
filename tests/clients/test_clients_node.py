"""The official client for Node. Install it anywhere and say where in NODE_PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

SCRIPT = """
const OpenAI = require('openai');
const [v1, chat, embed] = process.argv.slice(1);
const messages = [{ role: 'user', content: 'Hello' }];
const tools = [{ type: 'function', function: { name: 'weather', parameters: {
  type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }];
(async () => {
  const client = new OpenAI({ baseURL: v1, apiKey: 'none', maxRetries: 0, timeout: 600000 });
  const ask = { model: chat, messages, temperature: 0 };
  const whole = await client.chat.completions.create(ask);
  const stream = client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
  const streamed = await stream.finalChatCompletion();
  const called = await client.chat.completions.stream(
    { ...ask, tools, tool_choice: 'required' }).finalChatCompletion();
  const two = await client.chat.completions.stream({ ...ask, n: 2 }).finalChatCompletion();
  const vector = await client.embeddings.create({ model: embed, input: ['Hello'] });
  const response = await client.responses.stream({ model: chat, input: 'Hello' }).finalResponse();
  const models = []; for await (const model of client.models.list()) models.push(model.id);
  let refused = null;
  try { await client.chat.completions.create({ model: 'no/such', messages }); } catch (error) { refused = error; }
  console.log(JSON.stringify({
    same: whole.choices[0].message.content === streamed.choices[0].message.content,
    text: whole.choices[0].message.content, usage: [whole.usage, streamed.usage],
    call: called.choices[0].message.tool_calls[0].function, two: two.choices.length,
    length: Math.hypot(...vector.data[0].embedding), response: [response.status, response.output_text], models,
    refused: [refused.status, refused.code, refused.param, refused.message],
  }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


def missing() -> str:
    """What is not here; empty: nothing."""
    if NODE is None:
        return "node is not installed"
    if subprocess.run([NODE, "-e", "require.resolve('openai')"], capture_output=True).returncode:
        return "the openai package for node is not to be found in NODE_PATH"
    return ""


NODE = shutil.which("node")
MISSING = missing()


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_ordinary_jobs(gateway: Any) -> None:
    done = subprocess.run(
        [str(NODE), "-e", SCRIPT, "--", gateway.v1, gateway.chat, gateway.embed],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"], found
    assert found["text"]
    assert found["usage"][0] == found["usage"][1]
    assert found["call"]["name"] == "weather"
    assert isinstance(json.loads(found["call"]["arguments"])["city"], str)
    assert found["two"] == 2
    assert found["length"] == pytest.approx(1.0, abs=1e-3)
    assert found["response"][0] == "completed"
    assert found["response"][1]
    assert {gateway.chat, gateway.embed} <= set(found["models"])
    assert found["refused"][:3] == [404, "model_not_found", "model"]
    assert "no/such" in found["refused"][3]
