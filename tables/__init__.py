"""What is known of people, films and time, by partition; the truth that decisions read.

One module a table with its row and its in-memory indexes. May import `streams`' schemas alone.
"""
