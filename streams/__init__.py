"""The application: settings, schemas, topics, and the one boundary between Kafka and decisions.

May import `tables` and `agents` only in `app.py`; nothing in here knows of `sender` or `dev`.
"""
