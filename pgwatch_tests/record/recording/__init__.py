"""The file of a recording: its layout, how samples are packed, how it is written, thinned and read."""
