"""A chat with the official ``ollama`` client: whole, then as it comes."""

from __future__ import annotations

import sys

import ollama


def main(host: str = "http://127.0.0.1:11434", model: str = "hyperllama-tiny") -> None:
    client = ollama.Client(host=host)
    question = [{"role": "user", "content": "What port does the gateway listen on?"}]
    answer = client.chat(model=model, messages=question)
    print(answer.message.content)
    for part in client.chat(model=model, messages=question, stream=True):
        print(part.message.content, end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
