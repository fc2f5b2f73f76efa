"""Commands: one a module, loaded when it is called."""
