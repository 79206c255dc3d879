"""Texts compared: one query with documents, or pair by pair."""

from __future__ import annotations

import httpx
import pytest


async def test_rerank_sorts_by_likeness(http: httpx.AsyncClient) -> None:
    body = {
        "model": "tiny",
        "query": "aaaa",
        "documents": ["a", {"text": "bbbb"}],
        "return_documents": True,
        "top_n": 0,
    }
    reply = (await http.post("/v1/rerank", json=body)).json()
    assert [(result["index"], result["document"]["text"]) for result in reply["results"]] == [(1, "bbbb"), (0, "a")]
    assert reply["results"][0]["relevance_score"] == pytest.approx(1.0)
    assert reply["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    one = (await http.post("/rerank", json={**body, "top_n": 1, "return_documents": None})).json()
    assert [set(result) for result in one["results"]] == [{"index", "relevance_score"}]


async def test_score_compares_one_with_many_and_pair_by_pair(http: httpx.AsyncClient) -> None:
    many = (await http.post("/v1/score", json={"model": "tiny", "text_1": "aa", "text_2": ["bb", "c"]})).json()
    assert [item["index"] for item in many["data"]] == [0, 1]
    assert many["data"][0]["score"] == pytest.approx(1.0)
    assert many["data"][1]["score"] < 1.0
    pairs = {"model": "tiny", "queries": ["aa", "b"], "documents": ["bb", "c"]}
    found = (await http.post("/score", json=pairs)).json()["data"]
    assert [item["score"] for item in found] == [pytest.approx(1.0)] * 2
    wrong = await http.post("/score", json={"model": "tiny", "text_1": ["a", "b"], "text_2": ["c"]})
    assert wrong.json()["error"]["param"] == "text_1"
