"""Pure functions on results: nothing here touches a disk or a clock."""
