"""The commands of `pinfunnel`, by what they work on. Thin: options in, one call, a table or figures out."""
