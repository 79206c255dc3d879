"""An MCP server on stdin and stdout, with as many tools as the first argument says. Standard library only."""

from __future__ import annotations

import json
import sys
from typing import Any

SCHEMA = {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]}


def answer(method: str, params: dict[str, Any], tools: int) -> dict[str, Any]:
    if method == "initialize":
        server = {"name": "tiny", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "tools/list":
        names = ["lookup"] if tools == 1 else [f"lookup_{number}" for number in range(tools)]
        return {"tools": [{"name": name, "description": "Looks a key up", "inputSchema": SCHEMA} for name in names]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": f"HYPER-{6 * 7}"}]}
    return {}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = answer(message["method"], message.get("params") or {}, int(sys.argv[1]))
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
