"""Reconstruct quantum states from bit strings with RBMs, prune them, and tell what it cost.

The public names are listed in `__init__.pyi`; each is imported when it is first used, so that
`psiprune --help` does not wait for numba and TeNPy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
