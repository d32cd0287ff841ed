"""Tested pieces that recipes are told with."""
