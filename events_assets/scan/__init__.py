"""All that one load asks of the lists of one table, and the receipt that says what it proves."""
