"""Blind listening tests: listeners choose the better sound of each pair, made of two conditions."""
