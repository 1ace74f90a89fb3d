"""A mail server for development: takes every mail, keeps it in memory, answers Mailpit's API.

`store` holds the mails, `parse` reads them, `smtp` takes them in, `api` and `pages` show them,
`server` runs it all. Imports nothing of the service.
"""
