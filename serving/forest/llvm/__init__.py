"""The forest's own: LLVM IR of its vector code, and what compiles it. Others use `serving.forest.forest`."""
