"""How the pages of a list are found: what to ask next, and what it proves. A file for each way."""
