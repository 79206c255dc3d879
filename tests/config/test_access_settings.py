"""[keys], [limits] and [queue] as they are written: what is refused, and by which name."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperllama import config
from hyperllama.config import rates
from hyperllama.errors import ConfigError

HASH = "sha256:" + "0" * 64


def load(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return config.load(path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[limits.key]\nrequest = "5/minute"', "did you mean 'requests'"),
        ('[limits.key]\nrequests = "often"', "limits.key.requests: 'often' is not a rate."),
        ('[limits.tiers.gold]\ntokens = ["5/minute", "x"]', "limits.tiers.gold.tokens"),
        ('[limits.models."a*"]\nconcurrent = 0', "limits.models.a*.concurrent: Must be at least 1, not 0."),
        ("[limits.owner]\ndaily_tokens = 5", "limits.owner: Daily and monthly quotas belong to keys"),
        ('[limits]\nstorage = "memcached://x"', 'limits.storage: Must be "memory" or a redis:// URL'),
        ('[keys.static.me]\nhash = "abc"', "keys.static.me.hash: Must be 'sha256:' and 64 hex digits"),
        (f'[keys.static.me]\nhash = "{HASH}"\nlimits = {{ tier = "gold" }}', "There is no [limits.tiers.gold]."),
        (f'[keys.static.me]\nhash = "{HASH}"\nlimits = {{ request = "5/minute" }}', "did you mean 'requests'"),
        (f'[keys.static.me]\nhash = "{HASH}"\npriority = 11', "keys.static.me.priority: Must be at most 10, not 11."),
        (f'[keys.static.me]\nhash = "{HASH}"\npermissions = ["root"]', "keys.static"),
        ('[keys.networks."10.0.0.1/8"]\nowner = "x"', "keys.networks.10.0.0.1/8"),
        ('[keys]\ncache = "5m"', "keys.cache: Must be at most 60, not 300.0."),
        ('[keys.jwt]\nissuer = "https://x"', "audience"),
        ('[keys.jwt]\nissuer = "https://x"\naudience = "a"\nissuers = 1', "did you mean 'issuer'"),
        ("[queue]\nfloor = 0.9", "queue.floor: Must be at most 0.5, not 0.9."),
        ("[queue]\nembed_max_inputs = 0", "queue.embed_max_inputs: Must be at least 1, not 0."),
        ('[queue]\nmax_wait = "soon"', "queue.max_wait: 'soon' is not a duration."),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path, text, said) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    assert said in str(refused.value)


def test_rates_are_read_with_their_windows() -> None:
    assert rates.parse(("1_000/hour", "10 per second", "500/5 minutes")) == (
        rates.Rate(10, 1, "10 per second"),
        rates.Rate(500, 300, "500 per 5 minutes"),
        rates.Rate(1000, 3600, "1000 per hour"),
    )
    assert rates.parse("5/minute; 9/day") == (rates.Rate(5, 60, "5 per minute"), rates.Rate(9, 86_400, "9 per day"))
    with pytest.raises(ValueError, match="at least 1"):
        rates.parse("0/minute")


def test_scalars_come_from_the_environment_too(tmp_path) -> None:
    environ = {
        "HYPERLLAMA_KEYS_REQUIRED": "true",
        "HYPERLLAMA_KEYS_PEPPER": "a pepper of enough characters",
        "HYPERLLAMA_LIMITS_STORAGE": "redis://127.0.0.1:1/0",
        "HYPERLLAMA_QUEUE_MAX_WAITING": "7",
        "HYPERLLAMA_STORE_DATABASE": "postgresql://x@127.0.0.1/y",
    }
    read = config.load(None, environ)
    assert read.keys.required is True
    assert read.keys.pepper == "a pepper of enough characters"
    assert read.limits.storage == "redis://127.0.0.1:1/0"
    assert read.queue.max_waiting == 7
    assert read.store.database == "postgresql://x@127.0.0.1/y"
