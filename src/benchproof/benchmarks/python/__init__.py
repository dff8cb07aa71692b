"""What only an interpreter can be asked: calls that a test of pytest makes."""
