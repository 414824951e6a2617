"""The experiments of the 2016 blog."""
