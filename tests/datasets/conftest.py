"""The builders of corpora are scripts in datasets/, not modules of the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "datasets"))
