"""The helpers in ``tests/support`` that could spoil a run without anybody noticing."""

from __future__ import annotations

import pytest


def test_a_failure_with_a_lone_surrogate_reaches_the_terminal(request: pytest.FixtureRequest) -> None:
    """A worker of ``pytest -n 2`` would end on such a report, and its tests with it."""
    gateway = pytest.importorskip("execnet.gateway_base")
    report = pytest.TestReport(
        nodeid="test_broken_text",
        location=("test_text.py", 0, "test_broken_text"),
        keywords={"\udc80": 1},
        outcome="failed",
        longrepr="assert '\ud83d' == 'smile'",
        when="call",
        sections=[("Captured stdout", "\udfff")],
        user_properties=[("body", "\udc00")],
    )
    with pytest.raises(gateway.DumpError):
        gateway.dumps(report._to_json())
    hook = request.config.hook
    back = hook.pytest_report_from_serializable(
        config=request.config,
        data=gateway.loads(gateway.dumps(hook.pytest_report_to_serializable(config=request.config, report=report))),
    )
    assert back.longrepr == "assert '\\ud83d' == 'smile'"
    assert back.sections == [("Captured stdout", "\\udfff")]
    assert back.user_properties == [("body", "\\udc00")]
