"""Engines: who words a plan, and everything between us and a server.

`opening` opens the engine that a configuration names; `grounded` and `served` are the two that
word plans; `scheduler`, `client`, `calls`, `pace` and `probe` ask servers; `server` owns one.
"""
