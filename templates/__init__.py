"""The texts of mails, inbox entries and pages, by template and locale: data, no code.

A regular package, so that `importlib.resources` finds them in an editable install too.
"""
