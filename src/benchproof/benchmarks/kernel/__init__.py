"""What only a system that measures itself can be asked: its own primitives, by its own names."""
