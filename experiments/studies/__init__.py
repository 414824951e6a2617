"""Studies beyond the blog."""
