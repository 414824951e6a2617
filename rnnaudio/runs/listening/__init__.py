"""Blind listening tests: of each pair of sounds, from two conditions, listeners choose the better one."""
