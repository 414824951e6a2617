"""Runs over samples, which are generated one by one."""
