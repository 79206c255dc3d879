"""Checks that widely used chat templates make of a conversation's order, in front of any other template."""

from __future__ import annotations

_COUNTED = "m.role in ('user', 'system') or (m.role == 'assistant' and not m.tool_calls)"
#: As a template's first lines, by the family whose check it is.
GUARDS = {
    "qwen": (
        "{%- for m in messages %}{%- if m.role == 'system' and not loop.first %}"
        "{{- raise_exception('System message must be at the beginning.') }}{%- endif %}{%- endfor %}"
    ),
    "mistral": (
        "{%- set ns = namespace(n=0) %}{%- for m in messages %}{%- if not (loop.first and m.role == 'system') %}"
        "{%- if " + _COUNTED + " %}{%- if (m.role == 'user') != (ns.n % 2 == 0) %}"
        "{{- raise_exception('conversation roles must alternate') }}{%- endif %}{%- set ns.n = ns.n + 1 %}"
        "{%- endif %}{%- endif %}{%- if m.tool_call_id is defined and m.tool_call_id | length != 9 %}"
        "{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}"
        "{%- for call in m.tool_calls or [] %}{%- if call.id | length != 9 %}"
        "{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}"
        "{%- endfor %}{%- endfor %}"
    ),
    "gemma": (
        "{%- if messages[0].role == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}"
        "{%- for m in messages %}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
        "{%- endif %}{%- endfor %}"
    ),
    "llama-tools": (
        "{%- for m in messages %}{%- if m.tool_calls and m.tool_calls | length != 1 %}"
        "{{- raise_exception('This model only supports single tool-calls at once!') }}{%- endif %}{%- endfor %}"
    ),
}

__all__ = ("GUARDS",)
