"""The recipe ``frames``: runs that predict the next frame of samples, or reconstruct the current one."""
