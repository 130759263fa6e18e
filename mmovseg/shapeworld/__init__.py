"""A drawn world of textures and shapes."""
