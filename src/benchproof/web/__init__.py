"""The dashboard: a thin server over the index and the reporters. It reads; it computes no figure and changes no run."""
