"""The client side of sandbox services: what is asked of one, over HTTP and MCP, and nothing of how it is made."""
