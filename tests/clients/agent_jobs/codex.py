"""Jobs of Codex, with its built-in provider pointed here and with a provider of its configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from tests.clients.agent_jobs.job import HERE, Place, Result, Unit, attempt, expect, run
from tests.clients.agent_jobs.served import MADE

FREE = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")


def builtin(place: Place) -> Sequence[str]:
    return ("-c", f'openai_base_url="{place.url}/v1"', "-m", "gpt-5.5")


def custom(place: Place) -> Sequence[str]:
    provider = f'{{name="gateway", base_url="{place.url}/v1", wire_api="responses"}}'
    return ("-c", f"model_providers.gateway={provider}", "-c", 'model_provider="gateway"', "-m", "agent")


def jobs(place: Place) -> Iterator[Result]:
    """Yield the results of both providers."""
    env = place.home(CODEX_HOME=str(place.folder / "codex"), OPENAI_API_KEY="none")
    (place.folder / "codex").mkdir(exist_ok=True)
    binary = str(place.installed / ".bin" / "codex")
    mcp = (
        *("-c", f'mcp_servers.tiny.command="{sys.executable}"'),
        *("-c", f'mcp_servers.tiny.args=["{HERE / "mcp_server.py"}", "1"]'),
    )
    made = place.folder / "made.txt"

    def work(provider: Sequence[str], prompt: str, want: str, *more: str, resume: bool = False) -> None:
        sub = ("exec", "resume", "--last") if resume else ("exec",)
        printed = run([binary, *sub, *FREE, *provider, *more, prompt], env=env, cwd=place.folder)
        expect(printed, want)

    def patched(provider: Sequence[str]) -> None:
        made.unlink(missing_ok=True)
        printed = run([binary, "exec", *FREE, *provider, "JOB codex patch"], env=env, cwd=place.folder)
        expect(f"{made.read_text() if made.exists() else ''} {printed}", MADE)

    for client, provider in (("Codex", builtin(place)), ("Codex, custom provider", custom(place))):
        yield attempt(client, "answer", lambda p=provider: work(p, "Say hello", "A plain answer."))
        yield attempt(client, "tool loop", lambda p=provider: work(p, "JOB codex shell", MADE))
        yield attempt(client, "resumed", lambda p=provider: work(p, "JOB codex shell", MADE, resume=True))
        yield attempt(client, "MCP tool", lambda p=provider: work(p, "JOB codex mcp", MADE, *mcp))
        if client == "Codex":  # it offers its patch tool to the vendor's models only
            yield attempt(client, "file edit", lambda p=provider: patched(p))


UNIT = Unit("codex", "node", jobs, package="@openai/codex")

__all__ = ("UNIT",)
