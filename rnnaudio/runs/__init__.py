"""Runs on audio: training, resuming, generation, reports and diagnosis, for the command line and for experiments.

A run is a folder with a checkpoint and the files made from it. Its recipe is the kind of run: frames, codes or
samples.
"""
