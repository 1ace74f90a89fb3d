"""`python -m dev chaos`: kills, stops and outages under load, and a verifier with its own book.

Nothing of the service is asked what it should have done: the book knows what was sent, the mail
server of this package what it took, and the verifier holds the one against the other.
"""
