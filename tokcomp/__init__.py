"Reinforcement-learning token compression. `from tokcomp import Compressor`; everything else is in its module."
__version__ = "0.1.0"
__all__ = ['Compressor']

from tokcomp.threads import sleep_when_waiting
sleep_when_waiting()        # before anything imports torch: read once, when it is loaded

def __getattr__(name):
    # torch takes a second to import: only for who compresses
    if name == 'Compressor':
        from .compressor import Compressor
        return Compressor
    raise AttributeError(f"module 'tokcomp' has no attribute {name!r}")
