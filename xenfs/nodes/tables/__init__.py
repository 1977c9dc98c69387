"""The grammar of the tables: what entries there are, how text is shown and parsed, when a file is there.

Open base.py first; show.py and parse.py are the words that table lines are made of.
"""
