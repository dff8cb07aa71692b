"""System performance, with proof: no number without a correct answer. Start reading at `model`, then `runner`."""

__version__ = "0.1.0"
