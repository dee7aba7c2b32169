"""Shared parts of tables, figures and HTML pages; knows no experiment."""
