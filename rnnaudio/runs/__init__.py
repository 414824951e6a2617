"""Runs on audio, put together from the package's parts; what the command line and the experiments call."""
