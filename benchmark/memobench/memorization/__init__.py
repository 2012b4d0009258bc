"""What follows from the copies: rates of copies and of memorized patients, with intervals over patients."""
