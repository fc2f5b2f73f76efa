"""Commands: one per module, loaded when it is called; `cli/__init__.py` lists them with their rooms."""
