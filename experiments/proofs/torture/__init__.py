"""Torture tests: kills, signals, two processes at once, full disks, damaged and hostile files; passes are counted."""
