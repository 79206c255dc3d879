"""The one chat template: special tokens mark the turns, tools are listed one a line, calls are JSON.

A tool's name comes after its description: a model that reads from left to right then knows what the tool is for.
"""

from __future__ import annotations

__all__ = ("CHAT_TEMPLATE", "SPECIAL_TOKENS")

#: In id order; ids 0, 1 and 2 are begin, end and pad.
SPECIAL_TOKENS: tuple[str, ...] = (
    "<|begin|>",
    "<|end|>",
    "<|pad|>",
    "<|tools|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
)

_TOOLS = """\
{%- if tools -%}<|tools|>
{%- for tool in tools -%}
{%- set f = tool.function if tool.function is defined else tool -%}
{%- if not loop.first -%}{{ '\\n' }}{%- endif -%}
{{ f.description or '' }}: {{ f.name }}
{%- if f.parameters and f.parameters.properties -%}
{%- for key, value in f.parameters.properties.items() %}; {{ key }}
{%- if value is mapping -%}
{%- if value.enum %} {{ value.enum | join('|') }}
{%- elif value.type is string %} {{ value.type }}
{%- endif -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}<|end|>{%- endif -%}"""

_TURNS = """\
{%- for message in messages -%}
{%- if message.role == 'tool' -%}<|tool|>
{%- elif message.role == 'assistant' -%}<|assistant|>
{%- elif message.role == 'user' -%}<|user|>
{%- else -%}<|system|>
{%- endif -%}
{{- message.content or '' -}}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{%- set f = call.function if call.function is defined else call -%}
{%- if not loop.first -%}{{ '\\n' }}{%- endif -%}
{{ '{"name": "' ~ f.name ~ '", "parameters": ' }}
{%- if f.arguments is string -%}{{ f.arguments }}{%- else -%}{{ f.arguments | tojson }}{%- endif -%}
{{ '}' }}
{%- endfor -%}
{%- endif -%}
<|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"""

CHAT_TEMPLATE = "{{- bos_token -}}" + _TOOLS + _TURNS
