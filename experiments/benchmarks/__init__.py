"""Speed and memory, against other frameworks."""
