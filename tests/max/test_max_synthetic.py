"""Models of random weights for benchmarks, and the script that measures with them on a machine with a GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hyperllama.models import ModelSpec
from hyperllama_max.describe import describe

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize(("size", "vocabulary", "parameters"), [("tiny", 2048, 2_625_000), ("probe", 2048, 2_360_000)])
def test_a_synthetic_model_is_whole_and_of_its_size(tmp_path, size, vocabulary, parameters):
    pytest.importorskip("numpy")
    subprocess.run([sys.executable, BENCH / "synthetic.py", tmp_path, size], check=True)
    info = describe(ModelSpec(name="m"), tmp_path)
    assert (info.format, info.quantization, info.vocab_size) == ("safetensors", "BF16", vocabulary)
    assert abs(info.parameter_count - parameters) < parameters * 0.02


def test_every_token_of_a_synthetic_model_is_text(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    script = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import synthetic; from pathlib import Path"
    call = f"synthetic.write_tokenizer(Path({str(tmp_path)!r}), 128256)"
    subprocess.run([sys.executable, "-c", f"{script}; {call}"], check=True)
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 128256
    assert all(tokenizer.decode([number]) for number in range(300, 128256, 1009))


@pytest.mark.nightly
@pytest.mark.max
@pytest.mark.timeout(1800)
def test_the_gpu_script_goes_through_all_its_steps_on_a_cpu(tmp_path):
    environ = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([BENCH / "gpu.sh", "--dry-run", tmp_path], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stdout
    assert re.search(r"cpu +8 streams: [0-9.,]+ tokens/s", done.stdout)
    assert "ratio at 8 streams" in done.stdout
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".json", ".txt"}


def test_the_gpu_script_says_what_it_takes_and_stops(tmp_path):
    done = subprocess.run([BENCH / "gpu.sh"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "WHEELS RESULTS" in done.stderr
    done = subprocess.run([BENCH / "gpu.sh", "--dry-run", tmp_path], capture_output=True, text=True, env={
        **os.environ, "PYTHON": "/bin/false"
    })  # fmt: skip
    assert done.returncode != 0
