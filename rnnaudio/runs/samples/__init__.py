"""The recipe ``samples``: runs that generate sound sample by sample from predicted distributions."""
