"""What a row is: its identity, its canonical fields, its times, and whether it can be loaded."""
