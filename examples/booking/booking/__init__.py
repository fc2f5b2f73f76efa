"""A small application: parents book lessons with instructors for their children."""
