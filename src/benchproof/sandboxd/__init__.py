"""The daemon `benchproof-sandboxd`: sandboxes for whoever asks over HTTP or MCP, each gone when it is deleted."""
