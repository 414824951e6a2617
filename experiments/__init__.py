"""What was measured: ``rnnaudio experiment list``."""
