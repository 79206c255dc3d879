"""Jobs of Claude Code."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator

from tests.clients.agent_jobs.job import HERE, Failed, Place, Result, Unit, attempt, expect, run
from tests.clients.agent_jobs.served import MADE

NAME = "Claude Code"
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def jobs(place: Place) -> Iterator[Result]:
    """Yield the results of its jobs."""
    env = place.home(
        ANTHROPIC_BASE_URL=place.url,
        ANTHROPIC_API_KEY="none",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
        IS_SANDBOX="1",
    )
    (place.folder / "paper.pdf").write_bytes(pdf(f"The paper holds {MADE}"))
    (place.folder / "dot.png").write_bytes(base64.b64decode(DOT))
    server = {"command": sys.executable, "args": [str(HERE / "mcp_server.py"), "130"]}
    (place.folder / "mcp.json").write_text(json.dumps({"mcpServers": {"many": server}}))
    many = ("--strict-mcp-config", "--mcp-config", str(place.folder / "mcp.json"))

    def ask(prompt: str, *more: str, **environ: str) -> str:
        command = [str(place.installed / ".bin" / "claude"), "-p", "--model", "claude-sonnet-4-5"]
        free = ["--dangerously-skip-permissions", "--output-format", "stream-json", "--verbose"]
        whole = [*command, *free, *more, "--", prompt]
        return run(whole, env={**env, **environ}, cwd=place.folder, statuses=(0, 1))

    def work(prompt: str, want: str, *more: str, **environ: str) -> None:
        expect(_result(ask(prompt, *more, **environ)), want)

    def read(prompt: str, *, honest: str = "") -> None:
        """Call a tool and go on after it; its result must not hold ``honest``, which only the model says."""
        for result in _tool_results(ask(prompt)):
            if honest and honest in result:
                raise Failed(f"the tool's result is invented: {result[:200]}")

    yield attempt(NAME, "answer", lambda: work("Say hello", "A plain answer."))
    yield attempt(NAME, "tool loop", lambda: work("JOB claude shell", MADE))
    yield attempt(NAME, "resumed", lambda: work("JOB claude shell", MADE, "--continue"))
    yield attempt(NAME, "MCP tool", lambda: work("JOB claude mcp", MADE, *many))
    searched = {"ENABLE_TOOL_SEARCH": "1"}
    yield attempt(NAME, "MCP tool, found by search", lambda: work("JOB claude mcp", MADE, *many, **searched))
    yield attempt(NAME, "PDF", lambda: read("JOB claude pdf"))
    yield attempt(NAME, "PNG", lambda: read("JOB claude png"))
    yield attempt(NAME, "web fetch", lambda: read("JOB claude fetch", honest="A plain answer."))
    yield attempt(NAME, "web search", lambda: read("JOB claude search", honest="A plain answer."))


def _result(printed: str) -> str:
    """Return the text of the last event; the result of a turn that failed is raised."""
    for event in map(_event, printed.splitlines()):
        if event.get("type") == "result":
            if event.get("is_error"):
                raise Failed(str(event.get("result"))[:300])
            return str(event.get("result", ""))
    raise Failed(f"no result: {printed[-300:]}")


def _tool_results(printed: str) -> list[str]:
    """Return the tools' results as JSON. Raise Failed where the turn failed or no tool ran."""
    _result(printed)
    found = []
    for event in map(_event, printed.splitlines()):
        content = event.get("message", {}).get("content") if event.get("type") == "user" else None
        found += [json.dumps(block) for block in content or () if block.get("type") == "tool_result"]
    if not found:
        raise Failed("the tool was not called")
    return found


def _event(line: str) -> dict:
    return json.loads(line) if line.startswith("{") else {}


def pdf(text: str) -> bytes:
    """Return a PDF of one page that shows ``text``."""
    stream = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    made = b"%PDF-1.4\n"
    starts = []
    for number, body in enumerate(objects, 1):
        starts.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    trailer = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(made)
    return made + b"xref\n0 6\n0000000000 65535 f \n" + table + trailer


UNIT = Unit("claude", "node", jobs, package="@anthropic-ai/claude-code")

__all__ = ("UNIT", "pdf")
