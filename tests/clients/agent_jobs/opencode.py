"""Jobs of opencode, through the AI SDK's providers that it brings."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.clients.agent_jobs.job import Place, Result, Unit, attempt, expect, run
from tests.clients.agent_jobs.served import MADE

PROVIDERS = {name: f"@ai-sdk/{name}" for name in ("openai-compatible", "openai", "anthropic")}


def jobs(place: Place) -> Iterator[Result]:
    """Yield the results of its jobs."""
    model = {"name": "agent", "tool_call": True, "limit": {"context": 200_000, "output": 4096}}
    options = {"baseURL": f"{place.url}/v1", "apiKey": "none"}
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "permission": {"*": "allow"},
        "small_model": "openai-compatible/agent",
        "provider": {
            name: {"npm": package, "name": name, "options": options, "models": {"agent": model}}
            for name, package in PROVIDERS.items()
        },
    }
    (place.folder / "opencode.json").write_text(json.dumps(settings))
    env = place.home(OPENCODE_DISABLE_MODELS_FETCH="1", OPENCODE_DISABLE_AUTOUPDATE="1")

    def work(provider: str, prompt: str, want: str, *more: str) -> None:
        command = [str(place.installed / ".bin" / "opencode"), "run", "--model", f"{provider}/agent", *more, prompt]
        expect(run(command, env=env, cwd=place.folder), want)

    loop = ("JOB opencode shell", f"made {MADE}")
    for provider in PROVIDERS:
        yield attempt(f"opencode, {provider}", "tool loop", lambda p=provider: work(p, *loop))
    client, default = "opencode, openai-compatible", "openai-compatible"
    yield attempt(client, "answer", lambda: work(default, "Say hello", "A plain answer."))
    yield attempt(client, "resumed", lambda: work(default, *loop, "--continue"))


UNIT = Unit("opencode", "node", jobs, package="opencode-ai")

__all__ = ("UNIT",)
