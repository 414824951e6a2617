"""Diagnosis of runs, toy problems before them, and the defects of 2016."""
