"""Many agents at once, things that break, and time: what a service for sandboxes is like when it is not alone."""
