"""Reconstruct quantum states from bit strings with RBMs, prune them, and measure the cost.

The public names are listed in `__init__.pyi`; each is imported when it is first used, so that
`psiprune --help` does not wait for numba and TeNPy.
"""

import logging

import lazy_loader

# Silent unless the caller says where records go; the command line does by PSIPRUNE_LOG.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
