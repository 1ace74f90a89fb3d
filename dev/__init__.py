"""The stack for development and tests: broker, Redis, mailbox and workers without Docker.

May import anything; nothing outside imports it.
"""
