"""The forest's own: what runs a request, from arrays to margins. Others use `serving.forest.forest`."""
