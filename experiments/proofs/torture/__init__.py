"""Torture: kills, signals, two processes at once, full disks, damage and hostile files, with counts of what held."""
