"""A chat with the official ``openai`` client: whole, then as it comes."""

from __future__ import annotations

import sys

import openai


def main(host: str = "http://127.0.0.1:11434", model: str = "hyperllama-tiny") -> None:
    client = openai.OpenAI(base_url=f"{host}/v1", api_key="none needed on this machine")
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "What port does the gateway listen on?"}]
    )
    print(answer.choices[0].message.content)
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "What port does the gateway listen on?"}], stream=True
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
