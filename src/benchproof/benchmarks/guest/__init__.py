"""What the user of a guest meets inside: its disk, its root file system, the start of its programs."""
