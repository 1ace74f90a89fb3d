"""The sender: a second Faust app that turns send jobs into mails and inbox entries.

May import `streams`' schemas, transport and processing; nothing in here knows of tables or agents.
"""
