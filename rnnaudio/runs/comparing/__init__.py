"""Several runs on one page, to listen, look and compare."""
