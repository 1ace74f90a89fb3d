"""A simulated cinema: its films, its people, the script of their two months, and a book of its own.

The book says what must come of the script. It is an oracle: nothing in here may import `agents`,
`tables` or `sender`.
"""
