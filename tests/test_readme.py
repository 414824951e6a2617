"""What README.md tells a user to type works."""

import re
from pathlib import Path

from rnnaudio.data.demo import build_demo_corpus

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    """As it stands in the file but for smaller sizes, in a folder where `make demo` has left its corpus."""
    (tmp_path / "runs/demo").mkdir(parents=True)
    build_demo_corpus(tmp_path / "runs/demo/corpus.h5")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    for written, smaller in (
        ('"n_steps": 32, "batch_size": 16', '"n_steps": 2, "batch_size": 32'),
        ("LSTM(200, 100", "LSTM(200, 3"),
        ("Dense(100", "Dense(3"),
        ("max_updates=20, validate_every=10", "max_updates=2, validate_every=2"),
    ):
        assert written in example
        example = example.replace(written, smaller)
    exec(compile(example, "README.md", "exec"), {})
    assert "the limit of 2 updates is reached" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "runs/library").iterdir()} == {"checkpoint.safetensors", "played.wav"}
