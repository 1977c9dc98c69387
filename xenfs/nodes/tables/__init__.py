"""The grammar of the tables: what entries there are, how text is shown and parsed, when a file is there.

base.py has the entries, all in one place. Open files.py first; show.py and parse.py are the words of table lines.
"""
