"""The dashboard in a browser: one program per tab, behind a link that only its owner has."""
