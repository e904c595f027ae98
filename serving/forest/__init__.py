"""The forest kernel: XGBoost's margins, bit for bit, at a small part of its cost.

Two files face outward: `forest.py` (`Forest`) and `top.py` (`top_k`). The rest is the room's own: `model.py` reads an
XGBoost model, `bins.py` plans its byte columns, `engine/` collapses trees and runs requests, `llvm/` writes and
compiles the vector code. Only the forest's benches and tests look behind the two. The room imports nothing of serving.
"""
