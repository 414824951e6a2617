"""What was measured: ``python -m experiments.NAME``."""

from importlib import import_module

from rnnaudio.errors import run_command

# Before any experiment imports it: a bad RNNAUDIO_ENGINE or RNNAUDIO_MODE is an error that the import raises.
run_command(lambda: import_module("rnnaudio.engine"), "experiments")
