"""Drawings of the page and charts for a paper."""
