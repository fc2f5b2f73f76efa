"""Sessions of a server: who is connected, what each does or waits for."""
