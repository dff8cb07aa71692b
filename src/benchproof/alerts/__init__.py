"""Who is told when something became worse, and when it is good again."""
