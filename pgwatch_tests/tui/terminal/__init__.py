"""The dashboard's terminal: the first picture on it, how keys are read, and its end."""
