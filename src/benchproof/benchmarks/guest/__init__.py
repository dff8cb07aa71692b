"""What the user of a guest meets inside: its disk, its root file system, programs that start, services it asks."""
