"""What the pretended machine is: a host, domains, cpupools, power, and what happens to them. No bytes here.

Open world.py first: it joins the others.
"""
