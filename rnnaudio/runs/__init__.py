"""Training, generation, reports and diagnosis of runs on audio, as called by the command line and experiments."""
