"""What README.md tells a user to type works."""

import re
from pathlib import Path

from rnnaudio.data.demo import build_demo_corpus

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    """As it stands in the file, in a folder where `make demo` has left its corpus."""
    (tmp_path / "runs/demo").mkdir(parents=True)
    build_demo_corpus(tmp_path / "runs/demo/corpus.h5")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert "the limit of 20 updates is reached" in capsys.readouterr().out
    assert (tmp_path / "runs/library/checkpoint.safetensors").exists()
